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

/** Holds every line to the schema of the command; gives how many there were. */
function check(command: string, stdout: string): number {
  const validate = ajv.getSchema(`command#/$defs/${command}`);
  const lines = stdout.trim().split("\n");
  for (const line of lines) {
    const isValid = validate?.(JSON.parse(line));
    expect({ line, isValid, errors: validate?.errors }).toEqual({ line, isValid: true, errors: null });
  }
  return lines.length;
}

/** What the command prints with --json. */
async function printed(env: Env, ...args: string[]): Promise<string> {
  return (await heartbit([...args, "--json"], env)).stdout;
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
    expect(check("kill", '{"key":"a","ended":1}')).toBe(1);
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
    expect(check("ls", await printed(env, "ls", "--all"))).toBe(1);
    check("wait", await printed(env, "wait", "a"));
    check("wait", await printed(env, "wait", "b", "--timeout", "0"));
    check("kill", await printed(env, "kill", "a"));
    await held.says("stdout", /killed/);
    // Of that the watcher may tell the difference alone, another holder: it looks once in half a period.
    const other = start(["ping", "b"], env);
    await watch.says("stdout", /"b"[^\n]*joined/);
    other.child.kill("SIGINT");
    await watch.says("stdout", /"b"[^\n]*killed/);
    for (const { child } of [held, watch]) child.kill("SIGINT");
    const { stdout } = await held.ended;
    expect(check("ping", stdout)).toBeGreaterThanOrEqual(3);
    expect(check("watch", (await watch.ended).stdout)).toBeGreaterThanOrEqual(3);
    check("ls", await printed(env, "ls", "--all"));
  });

  it("a lapse", () => {
    const at = new Date(0).toISOString();
    check("ping", JSON.stringify({ event: "lapse", key: "a", from: at, to: at }));
  });

  it("run, prune, doctor and drop", async () => {
    const env = await newStore();
    // What stands behind `--` is the command's own: the flag comes before it.
    check("run", (await heartbit(["run", "a", "--json", "--", "true"], env)).stdout);
    check("prune", await printed(env, "prune"));
    check("doctor", await printed(env, "doctor"));
    check("doctor", await printed(env, "doctor", "--period", "1s"));
    check("drop", await printed(env, "drop", "--yes"));
    check("drop", await printed(env, "drop", "--yes"));
  });

  it("serve", async () => {
    const serve = start(["serve", "--port", "0", "--json"], await newStore());
    check("serve", (await serve.says("stdout", /^.*\n/))[0]);
  });

  it("bench, with and without --plan, and completion", async () => {
    const env = await newStore(SHORT);
    check("bench", await printed(env, "bench", "--plan"));
    check("bench", await printed(env, "bench"));
    for (const shell of ["bash", "zsh", "fish"]) check("completion", await printed(env, "completion", shell));
  });

  it("demo", async () => {
    const { stdout } = await heartbit(["demo", "--json", "--period", "400ms"]);
    check("demo", stdout);
  });
});
