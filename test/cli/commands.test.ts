import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { promisify } from "node:util";
import { describe, expect, it, onTestFinished } from "vitest";
import { Presence } from "../../src/index.ts";
import { until } from "../support/wait.ts";
import { inTerminal } from "./terminal.ts";
import { cleanEnv, type Env, heartbit, main, newDirectory, newStore, SHORT, start } from "./heartbit.ts";

const execute = promisify(execFile);

const JSON_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** Holds the key in a process of its own; resolves when others can see it. */
async function holding(key: string, env: Env, ...more: string[]) {
  const held = start(["ping", key, ...more], env);
  await held.says("stderr", /Holding/);
  return held;
}

const object = (text: string): unknown => JSON.parse(text);
const objects = (text: string): Record<string, unknown>[] =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe("ping", () => {
  it("holds a key until it is interrupted: exits with 130, and the key is dead at once", async () => {
    const env = await newStore();
    const held = await holding("a", env);
    held.child.kill("SIGINT");
    expect(await held.ended).toMatchObject({ code: 130, signal: null, stdout: "" });
    expect((await heartbit(["ls", "--all"], env)).stdout).toMatch(/^a +dead /);
  });

  it("exits with 143 when it is terminated", async () => {
    const held = await holding("a", await newStore());
    held.child.kill("SIGTERM");
    expect((await held.ended).code).toBe(143);
  });

  it("prints with --json the events of the key, one object a line", async () => {
    const env = await newStore(SHORT);
    const held = start(["ping", "a", "--json"], env);
    await held.says("stdout", /held/);
    await heartbit(["kill", "a"], env);
    await held.says("stdout", /killed/);
    held.child.kill("SIGINT");
    const { stdout } = await held.ended;
    // A busy machine may lapse within so short a period, and says so.
    const happened = objects(stdout).filter(({ event }) => event !== "lapse");
    expect(happened).toEqual([
      { event: "held", key: "a", session: expect.any(Number) as number },
      { event: "killed", key: "a" },
      { event: "ended", key: "a" },
    ]);
  });
});

describe("where nothing is found", () => {
  it("a command says where it looked, and what may have been meant", async () => {
    const env = await newStore();
    const place = `in the namespace "presence" (SQLite in ${(env["HEARTBIT_STORE"] ?? "").slice(7)})`;
    const run = start(["ping", "worker-1"], env);
    await run.says("stderr", /Holding/);
    const talk = async (...args: string[]): Promise<unknown> => {
      const { code, stdout, stderr } = await heartbit(args, env);
      return [code, stdout, stderr];
    };
    expect(await talk("ls", "job-")).toEqual([0, "", `No keys that begin with "job-" are alive ${place}.\n`]);
    expect(await talk("kill", "worker")).toEqual([0, "0 holders ended\n", `Nobody holds worker ${place}.\n`]);
    expect(await talk("wait", "wroker-1", "--timeout", "0")).toEqual([
      3,
      "",
      `wroker-1 is not alive ${place}. Did you mean worker-1?\n`,
    ]);
    expect(await talk("wait", "other", "--timeout", "0")).toEqual([3, "", `other is not alive ${place}.\n`]);
    const other = 'in the namespace "other"';
    expect((await heartbit(["ls", "--name", "other"], env)).stderr).toMatch(`No keys are alive ${other}`);
    const watch = start(["watch", "job-", "--name", "other"], env);
    await watch.says(
      "stderr",
      /No keys that begin with "job-" are alive yet in the namespace "other" .*\.\n/,
    );
  });
});

describe("ls", () => {
  it("says where it looked, and makes nothing, where there is no namespace", async () => {
    const directory = await newDirectory();
    const env = { XDG_DATA_HOME: directory };
    expect(await heartbit(["ls"], env)).toEqual({
      code: 0,
      signal: null,
      stdout: "",
      stderr: `No keys are alive in the namespace "presence" (SQLite in ${directory}/heartbit): nobody has used it yet. Set --store or HEARTBIT_STORE to look elsewhere.\n`,
    });
    expect(object((await heartbit(["ls", "--json"], env)).stdout)).toEqual({
      asOf: expect.stringMatching(JSON_TIME) as string,
      confirmed: true,
      keys: [],
    });
    expect(existsSync(`${directory}/heartbit`)).toBe(false);
  });

  it("prints live keys in aligned columns without a heading, those with a prefix, with --all the dead too", async () => {
    const env = await newStore();
    const long = await holding("worker-long", env);
    await holding("worker-1", env, "--meta", '{"port":8080}');
    const db = await holding("db", env);
    db.child.kill("SIGINT");
    await db.ended;
    const time = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ";
    const { stdout, code } = await heartbit(["ls", "worker-"], env);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      new RegExp(
        `^worker-1     \\S+  \\d+ +${time}  \\{"port":8080\\}\nworker-long  \\S+  ${long.pid} +${time}  -\n$`,
      ),
    );
    const all = await heartbit(["ls", "--all"], env);
    expect(all.stdout).toMatch(new RegExp(`^db           dead   - +- +${time}  -\nworker-1     alive  `));
  });

  it("prints the listing as one object with --json", async () => {
    const env = await newStore();
    const held = await holding("a", env, "--meta", "[1]");
    const { stdout } = await heartbit(["ls", "--json"], env);
    expect(object(stdout)).toEqual({
      asOf: expect.stringMatching(JSON_TIME) as string,
      confirmed: true,
      keys: [
        {
          key: "a",
          alive: true,
          since: expect.stringMatching(JSON_TIME) as string,
          holders: [
            {
              session: expect.any(Number) as number,
              host: expect.any(String) as string,
              pid: held.pid,
              since: expect.stringMatching(JSON_TIME) as string,
              meta: [1],
            },
          ],
        },
      ],
    });
  });

  it("ends quietly when its reader has gone, however much there is to print", async () => {
    const env = await newStore();
    const presence = await Presence.open(env["HEARTBIT_STORE"] ?? "");
    onTestFinished(() => presence.close());
    const keys = Array.from({ length: 3000 }, (_, index) => `a-key-of-some-length-${index}`);
    await Promise.all(keys.map((key) => presence.pinger(key).start()));
    const ls = start(["ls"], env);
    ls.child.stdout?.destroy();
    expect(await ls.ended).toMatchObject({ code: 0, signal: null, stderr: "" });
  });

  it("says that it reads where a person waits, and leaves nothing of that", async () => {
    const env = await newStore();
    await holding("a", env);
    const { running } = inTerminal([process.execPath, main(), "ls"], env);
    const { stdout } = await running.ended;
    const [said, left] = stdout.split("\r\u001b[K");
    expect(said).toContain("\rreading …");
    expect(left).toContain("KEY");
  });

  it("says on stderr when nobody has pinged lately", async () => {
    const env = await newStore("100ms");
    const held = await holding("a", env);
    await start(["wait", "a"], env).ended;
    held.child.kill("SIGKILL");
    await held.ended;
    let ended = await heartbit(["ls"], env);
    while (ended.stderr === "") ended = await heartbit(["ls"], env);
    expect(ended.stderr).toMatch(/^Unconfirmed: nobody has pinged lately\./);
    expect(ended).toMatchObject({ code: 0, stdout: expect.stringMatching(/^a /) as string });
  });

  it("shows control characters in keys and metas instead of obeying them", async () => {
    const env = await newStore();
    await holding("a\n\u001b[2Jb", env, "--meta", '"\\u202e"');
    const { stdout } = await heartbit(["ls"], env);
    expect(stdout).toMatch(/^a\\x0a\\x1b\[2Jb .*"\\u\{202e\}"\n$/);
  });
});

describe("watch", () => {
  it("prints the live keys, then each change as it comes, and exits with 130 when it is interrupted", async () => {
    const env = await newStore(SHORT);
    const first = await holding("w-1", env);
    const watch = start(["watch", "w-"], env);
    await watch.says("stdout", /^\S+Z  w-1 +alive  initial  \S+:\d+\n/);
    await holding("other", env);
    const second = await holding("w-2", env);
    await watch.says("stdout", /Z  w-2 +alive  joined   \S+:\d+\n/);
    second.child.kill("SIGINT");
    await watch.says("stdout", /Z  w-2 +dead   killed\n/);
    first.child.kill("SIGKILL");
    await watch.says("stdout", /Z  w-1 +dead   expired\n/);
    watch.child.kill("SIGINT");
    const { code, stdout } = await watch.ended;
    expect(code).toBe(130);
    expect(stdout.trim().split("\n")).toHaveLength(4);
  });

  it("prints an object a line with --json", async () => {
    const env = await newStore();
    const held = await holding("a", env);
    const watch = start(["watch", "--json"], env);
    await watch.says("stdout", /\n/);
    const [change] = objects(watch.stdout);
    expect(change).toEqual({
      key: "a",
      alive: true,
      at: expect.stringMatching(JSON_TIME) as string,
      cause: "initial",
      holders: [expect.objectContaining({ pid: held.pid })],
    });
  });

  it("ends quietly when its reader has gone", async () => {
    const env = await newStore();
    await holding("a", env);
    const watch = start(["watch"], env);
    watch.child.stdout?.destroy();
    expect(await watch.ended).toMatchObject({ code: 0, signal: null, stderr: "" });
  });

  it("says why where it cannot write, and exits with 1", async ({ skip }) => {
    skip(process.platform !== "linux", "only Linux has /dev/full");
    const env = await newStore();
    const full = (command: string) =>
      execute("sh", ["-c", `exec "$0" "$1" ${command} > /dev/full`, process.execPath, main()], {
        env: cleanEnv(env),
      });
    const stderr = "heartbit: The output cannot be written (ENOSPC).\n";
    for (const command of ["ls --json", "--help", "doctor --json"]) {
      await expect(full(command)).rejects.toMatchObject({
        code: 1,
        stderr: expect.stringContaining(stderr) as string,
      });
    }
  });

  it("has no colours where stdout is no terminal", async () => {
    const env = await newStore();
    await holding("a", env);
    const watch = start(["watch"], env);
    expect((await watch.says("stdout", /.*\n/))[0]).not.toContain("\u001b");
  });
});

describe("wait", () => {
  it("returns when the key is alive, with the change as data", async () => {
    const env = await newStore();
    const wait = start(["wait", "a", "--json"], env);
    await holding("a", env);
    const { code, stdout } = await wait.ended;
    expect(code).toBe(0);
    expect(object(stdout)).toMatchObject({ key: "a", alive: true });
  });

  it("returns with --dead when the key is dead, and at once where it never was", async () => {
    const env = await newStore();
    const held = await holding("a", env);
    const wait = start(["wait", "a", "--dead", "--json"], env);
    held.child.kill("SIGINT");
    const { code, stdout } = await wait.ended;
    expect(code).toBe(0);
    expect(object(stdout)).toMatchObject({ key: "a", alive: false });
    expect(await heartbit(["wait", "never", "--dead"], env)).toMatchObject({ code: 0, stderr: "" });
  });

  it("exits with 3 on time-out, and looks once with a time-out of 0", async () => {
    const env = await newStore();
    await holding("a", env);
    expect(await heartbit(["wait", "b", "--timeout", "200ms"], env)).toEqual({
      code: 3,
      signal: null,
      stdout: "",
      stderr: expect.stringMatching(
        /^b is not alive after 200 ms in the namespace "presence" \(SQLite in \S+\)\.\n$/,
      ) as string,
    });
    expect((await heartbit(["wait", "a", "--dead", "--timeout", "0"], env)).code).toBe(3);
    const late = await heartbit(["wait", "b", "--timeout", "0", "--json"], env);
    expect(late.code).toBe(3);
    expect(object(late.stdout)).toEqual({ key: "b", alive: false, timedOut: true });
    expect((await heartbit(["wait", "a", "--timeout", "0"], env)).code).toBe(0);
  });

  it("is not taken in by a key that was alive when everybody crashed, and exits with 130 when interrupted", async () => {
    const env = await newStore("200ms");
    const held = await holding("a", env);
    held.child.kill("SIGKILL");
    await held.ended;
    let listed = await heartbit(["ls", "--json"], env);
    while (listed.stdout.includes('"confirmed":true')) listed = await heartbit(["ls", "--json"], env);
    const waits = start(["wait", "a"], env);
    await waits.says("stderr", /^a was alive when pings were last seen; waiting for recent ones\.\n/);
    expect(await heartbit(["wait", "a", "--timeout", "1s"], env)).toMatchObject({ code: 3, stdout: "" });
    waits.child.kill("SIGINT");
    expect(await waits.ended).toMatchObject({ code: 130, stdout: "" });
  });
});

describe("kill", () => {
  it("prints how many holders it ended, which living holders survive", async () => {
    const env = await newStore(SHORT);
    const one = await holding("a", env);
    const two = await holding("a", env);
    expect(await heartbit(["kill", "a"], env)).toMatchObject({ code: 0, stdout: "2 holders ended\n" });
    await Promise.all([one, two].map((held) => held.says("stderr", /Another process reported a dead/)));
    expect((await heartbit(["wait", "a", "--timeout", "2m"], env)).code).toBe(0);
  });

  it("ends nothing where there is nothing", async () => {
    const env = await newStore();
    expect(await heartbit(["kill", "a"], env)).toMatchObject({ code: 0, stdout: "0 holders ended\n" });
    expect(object((await heartbit(["kill", "a", "--json"], env)).stdout)).toEqual({ key: "a", ended: 0 });
  });
});

describe("prune and drop", () => {
  it("prune says how much it deleted", async () => {
    const env = await newStore();
    const none = await heartbit(["prune"], env);
    expect(none).toMatchObject({ code: 0, stdout: "0 sessions, 0 registrations and 0 slots deleted\n" });
    await holding("a", env);
    const { stdout } = await heartbit(["prune", "--json"], env);
    expect(object(stdout)).toEqual({ sessions: 0, registrations: 0, slots: 0 });
  });

  it("drop does nothing without --yes, and with it removes all", async () => {
    const env = await newStore();
    const held = await holding("a", env);
    held.child.kill("SIGINT");
    await held.ended;
    const refused = await heartbit(["drop"], env);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toMatch(/the namespace "presence" in SQLite in .*: add --yes/);
    expect((await heartbit(["ls", "--all"], env)).stdout).toMatch(/^a /);
    expect(object((await heartbit(["drop", "--yes", "--json"], env)).stdout)).toEqual({
      name: "presence",
      dropped: true,
    });
    expect((await heartbit(["ls", "--all"], env)).stdout).toBe("");
    expect(object((await heartbit(["drop", "--yes", "--json"], env)).stdout)).toMatchObject({
      dropped: false,
    });
  });
});

describe("the namespace", () => {
  it("keeps its period: a command without one uses it, a command with another one is refused", async () => {
    const { HEARTBIT_STORE = "" } = await newStore();
    await holding("a", { HEARTBIT_STORE }, "--period", "300ms");
    expect((await heartbit(["wait", "a", "--timeout", "2m"], { HEARTBIT_STORE })).code).toBe(0);
    const other = await heartbit(["ls", "--period", "5s"], { HEARTBIT_STORE });
    expect(other).toMatchObject({ code: 1, stdout: "" });
    expect(other.stderr).toMatch(/^heartbit: .*300 ms.*5000\. Leave --period out/);
  });

  it("is chosen by --name before HEARTBIT_NAME, before the command too", async () => {
    const env = await newStore();
    await holding("a", env, "--name", "other");
    expect((await heartbit(["ls"], { ...env, HEARTBIT_NAME: "other" })).stdout).toMatch(/^a /);
    expect((await heartbit(["--name", "presence", "ls"], { ...env, HEARTBIT_NAME: "other" })).stdout).toBe(
      "",
    );
  });

  it("is taken from heartbit.config.json in the current directory, where nothing else says it", async () => {
    const env = await newStore();
    const cwd = await newDirectory();
    await holding("a", env, "--name", "other");
    const settings = { store: env["HEARTBIT_STORE"], name: "other", period: "5s" };
    await writeFile(`${cwd}/heartbit.config.json`, JSON.stringify(settings));
    const ls = (...args: string[]) =>
      execute(process.execPath, [main(), "ls", ...args], { cwd, env: cleanEnv({}) });
    expect((await ls()).stdout).toMatch(/^a /);
    expect((await ls("--name", "presence")).stdout).toBe("");
    await writeFile(`${cwd}/heartbit.config.json`, '{"stoer": "x"}');
    await expect(ls()).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/has "stoer"/) as string,
    });
  });

  it("is by default in the user's data directory, which is made", async () => {
    const directory = await newDirectory();
    const env = { XDG_DATA_HOME: directory };
    expect((await heartbit(["run", "a", "--", process.execPath, "-e", "0"], env)).code).toBe(0);
    expect(existsSync(`${directory}/heartbit`)).toBe(true);
  });
});

describe("Ctrl-C while the store does not answer", () => {
  const commands = ["ls --json", "watch", "wait a", "kill a", "ping a", "run a -- true", "serve --port 0"];
  const others = ["prune", "drop --yes", "doctor", "bench", "demo --store"];

  it.each([...commands, ...others])("ends %s at once, with 130 and nothing printed", async (line) => {
    let isAsked = false;
    const silent = createServer((socket) => {
      socket.on("error", () => {}).once("data", () => (isAsked = true));
    });
    onTestFinished(() => void silent.close());
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const store = `mongodb://127.0.0.1:${(silent.address() as AddressInfo).port}/x`;
    const args = line.split(" ");
    if (args.at(-1) === "--store") args.push(store);
    const started = performance.now();
    const command = start(args, { HEARTBIT_STORE: store });
    await until(() => isAsked);
    const began = performance.now();
    command.child.kill("SIGINT");
    const { code, stdout, stderr } = await command.ended;
    expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
    expect(stderr).not.toContain("heartbit:");
    // It would be 3 s until the driver gives up. The bound grows with what the command needs here to begin.
    expect(performance.now() - began).toBeLessThan(1000 + 2 * (began - started));
  });
});

describe("what cannot be", () => {
  it.each([
    [["lss"], /unknown command 'lss' \(Did you mean ls\?\)/],
    [["ls", "--stor", "x"], /unknown option '--stor' \(Did you mean --store\?\) See: heartbit ls --help/],
    [["ls", "--period", "soon"], /'soon' is invalid\. Write a time like/],
    [["ls", "--period", "1"], /periodMs is 1, but must be/],
    [["ls", "--name", "-x"], /The option name is "-x"/],
    [["ls", "a", "b"], /too many arguments/],
    [["ls", "--store", "redis://me:secret@host"], /begins with "redis:"/],
    [["wait"], /missing required argument 'key'/],
    [["wait", ""], /A key must be a non-empty string/],
    [["wait", "a", "--timeout", "-1s"], /./],
    [["run", "a"], /missing required argument 'cmd'/],
    [["run", "a", "--meta", "{", "--", "true"], /Write JSON/],
    [["ping", "a", "--meta", `"${"x".repeat(17_000)}"`], /16 KiB/],
    [["mongodb://me:secret@host"], /unknown command 'mongodb:\/\/\*\*\*@host'/],
    [["demo", "--store", "memory:x"], /share no memory/],
    [["run", "a", "--grace", "soon", "--", "true"], /Write a time like/],
  ])("%j is one line on stderr and 2", async (args, message) => {
    const { code, stdout, stderr } = await heartbit(args, await newStore());
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd()).toMatch(/^heartbit: .* See: heartbit .*--help$/);
    expect(stderr).not.toContain("secret");
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });

  it("says how it is used without a command", async () => {
    const { code, stdout, stderr } = await heartbit([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(/^Usage: heartbit <command>/);
  });

  it("shows the stack with NODE_DEBUG alone", async () => {
    const { code, stderr } = await heartbit(["wait", ""], { NODE_DEBUG: "heartbit" });
    expect(code).toBe(2);
    expect(stderr).toMatch(/HeartbitError.*\n +at /);
  });

  it("fails in seconds, with 1 and what to do, where there is no server", async () => {
    const store = "mongodb://me:secret@127.0.0.1:1/x";
    const { code, stdout, stderr } = await heartbit(["ls", "--store", store]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^heartbit: .*\. Is it running, and is --store .* right\?\n$/);
    expect(stderr).not.toContain("secret");
  });
});

describe("--help", () => {
  const all = "demo run ping ls watch wait serve kill prune drop doctor bench completion";
  const commands = all.split(" ");

  it("of each command is on stdout, with examples, and 0", async () => {
    const helps = await Promise.all(commands.map((command) => heartbit([command, "--help"])));
    helps.forEach(({ code, stdout, stderr }, index) => {
      const command = commands[index];
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toMatch(new RegExp(`^Usage: heartbit ${command}`));
      expect(stdout).toMatch(new RegExp(`Examples:\n  heartbit ${command}`));
      expect(stdout).toContain("--store <target>");
    });
  });

  it("is what help gives, too", async () => {
    const texts = [["--help"], ["help"], ["wait", "--help"], ["help", "wait"]].map((args) => heartbit(args));
    const [top, helped, wait, helpedToWait] = await Promise.all(texts);
    expect([helped, helpedToWait]).toEqual([top, wait]);
  });

  it("names all commands, and --version the version", async () => {
    const { stdout } = await heartbit(["--help"]);
    expect(stdout).toMatch(/Examples:\n {2}heartbit demo/);
    for (const name of commands) expect(stdout).toMatch(new RegExp(`^  ${name} `, "m"));
    expect(await heartbit(["--version"])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+/) as string,
    });
  });
});
