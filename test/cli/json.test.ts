/** What the commands print with --json is what docs/command.schema.json says. */
import { readFile } from "node:fs/promises";
import { Ajv2020 } from "ajv/dist/2020.js";
import { beforeAll, describe, expect, it } from "vitest";
import { type Env, heartbit, newStore, SHORT, start } from "./heartbit.ts";

const root = new URL("../../", import.meta.url);
const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true, formats: { uri: true } });
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
ajv.addFormat("date-time", TIME);

beforeAll(async () => {
  const schema = JSON.parse(await readFile(new URL("docs/command.schema.json", root), "utf8")) as object;
  ajv.addSchema(schema, "command");
});

/** Holds every line to the schema of the command; returns the objects. */
function check(command: string, stdout: string): Record<string, unknown>[] {
  const validate = ajv.getSchema(`command#/$defs/${command}`);
  return stdout
    .trim()
    .split("\n")
    .map((line) => {
      const value = JSON.parse(line) as Record<string, unknown>;
      const isValid = validate?.(value);
      expect({ line, isValid, errors: validate?.errors }).toEqual({ line, isValid: true, errors: null });
      return value;
    });
}

/** The object that the command prints with --json. */
async function printed(env: Env, command: string, ...args: string[]): Promise<Record<string, unknown>> {
  const objects = check(command, (await heartbit([command, ...args, "--json"], env)).stdout);
  expect(objects).toHaveLength(1);
  return objects[0] ?? {};
}

describe("the schema", () => {
  it("has a definition for every command, and the guide a row", async () => {
    const { stdout } = await heartbit(["--help"]);
    const [, list = ""] = /^Commands:\n([^]*?)\n\n/m.exec(stdout) ?? [];
    const commands = Array.from(list.matchAll(/^ {2}([a-z]+)(?= )/gm), ([, name = ""]) => name);
    expect(commands.length).toBeGreaterThan(10);
    const guide = await readFile(new URL("docs/command.md", root), "utf8");
    for (const command of commands) {
      expect(ajv.getSchema(`command#/$defs/${command}`), command).toBeDefined();
      expect(guide, command).toMatch(new RegExp(`^\\| \`${command}\` \\| .*\`\\{ `, "m"));
    }
  });

  it("refuses what it does not name, and what is missing", () => {
    check("kill", '{"key":"a","ended":1}');
    expect(() => check("kill", '{"key":"a","ended":1,"more":true}')).toThrow();
    expect(() => check("kill", '{"key":"a"}')).toThrow();
  });
});

describe("what is printed keeps it:", () => {
  it("ping, ls, watch, wait and kill", async () => {
    const env = await newStore(SHORT);
    const held = start(["ping", "a", "--meta", '{"n":[1]}', "--json"], env);
    await held.says("stdout", /held/);
    const watch = start(["watch", "--json"], env);
    await watch.says("stdout", /\n/);
    const a = { key: "a", alive: true, holders: [{ pid: held.pid, meta: { n: [1] } }] };
    expect(await printed(env, "ls", "--all")).toMatchObject({ confirmed: true, keys: [a] });
    expect(await printed(env, "wait", "a")).toMatchObject(a);
    const late = { key: "b", alive: false, timedOut: true };
    expect(await printed(env, "wait", "b", "--timeout", "0")).toEqual(late);
    expect(await printed(env, "kill", "b")).toEqual({ key: "b", ended: 0 });
    await printed(env, "kill", "a");
    await held.says("stdout", /killed/);
    // Of that the watcher may tell the difference alone, another holder: it looks once in half a period.
    const other = start(["ping", "b"], env);
    await watch.says("stdout", /"b"[^\n]*joined/);
    other.child.kill("SIGINT");
    await watch.says("stdout", /"b"[^\n]*killed/);
    for (const { child } of [held, watch]) child.kill("SIGINT");
    // A busy machine may lapse within so short a period, and says so.
    const told = check("ping", (await held.ended).stdout).filter(({ event }) => event !== "lapse");
    expect(told.map(({ event }) => event)).toEqual(["held", "killed", "ended"]);
    const changes = check("watch", (await watch.ended).stdout);
    expect(changes[0]).toMatchObject({ ...a, cause: "initial" });
    expect(changes.length).toBeGreaterThanOrEqual(3);
    await printed(env, "ls", "--all");
  });

  it("a lapse", () => {
    const at = new Date(0).toISOString();
    check("ping", JSON.stringify({ event: "lapse", key: "a", from: at, to: at }));
  });

  it("run, prune, doctor and drop", async () => {
    const env = await newStore("2s");
    // What stands behind `--` is the command's own: the flag comes before it.
    const script = "process.kill(process.pid)";
    const run = await heartbit(["run", "a", "--json", "--", process.execPath, "-e", script], env);
    const end = { key: "a", exitCode: 143, signal: "SIGTERM", restarts: 0, stopped: false };
    expect([run.code, check("run", run.stdout)]).toEqual([143, [end]]);
    expect(await printed(env, "prune")).toEqual({ sessions: 0, registrations: 0, slots: 0 });
    expect(await printed(env, "doctor")).toMatchObject({ ok: true, name: "presence" });
    const ill = await heartbit(["doctor", "--json", "--period", "1s"], env);
    expect(ill.code).toBe(1);
    const [{ ok, findings } = {}] = check("doctor", ill.stdout);
    expect(ok).toBe(false);
    const found = '"presence" has a period of 2 s, not 1 s: it cannot be opened with that.';
    expect(findings).toContainEqual(expect.objectContaining({ check: "namespace", level: "error", found }));
    const held = start(["ping", "a", "--json"], env);
    await held.says("stdout", /held/);
    expect(await printed(env, "drop", "--yes")).toEqual({ name: "presence", dropped: true });
    const { code, stdout } = await held.ended;
    expect([code, check("ping", stdout).at(-1)]).toEqual([1, { event: "dropped", key: "a" }]);
    expect(await printed(env, "drop", "--yes")).toEqual({ name: "presence", dropped: false });
    expect(await printed(env, "ls")).toMatchObject({ confirmed: true, keys: [] });
  });

  it("serve, which names its page", async () => {
    const serve = start(["serve", "--port", "0", "--json"], await newStore());
    const [said] = check("serve", (await serve.says("stdout", /^.*\n/))[0]);
    expect((await fetch(said?.["url"] as string)).status).toBe(200);
  });

  it("bench, with and without --plan, and completion", async () => {
    const env = await newStore("500ms");
    await printed(env, "bench", "--plan");
    const { periodMs, measurements } = await printed(env, "bench");
    expect(periodMs).toBe(500);
    const measured = measurements as Record<"count" | "medianMs" | "p99Ms" | "maxMs", number>[];
    const whats = ["ping", "join", "notice of join", "notice of kill", "notice of crash"];
    expect(measured).toMatchObject(whats.map((what) => ({ what })));
    for (const { count, medianMs, p99Ms, maxMs } of measured) {
      expect(count).toBeGreaterThan(1);
      expect(medianMs).toBeGreaterThan(0);
      expect([medianMs, p99Ms, maxMs]).toEqual([medianMs, p99Ms, maxMs].toSorted((a, b) => a - b));
    }
    expect(measured.at(-1)?.medianMs).toBeGreaterThan(500);
    for (const shell of ["bash", "zsh", "fish"]) {
      const { script } = await printed(env, "completion", shell);
      expect(script).toContain("heartbit");
    }
  });

  it("demo", async () => {
    const { stdout } = await heartbit(["demo", "--json", "--period", "400ms"]);
    check("demo", stdout);
  });
});
