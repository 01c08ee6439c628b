import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { describe, expect, it, onTestFinished } from "vitest";
import { Presence } from "../../src/index.ts";
import { listen } from "../servers/loopback.ts";
import { until } from "../support/wait.ts";
import { inTerminal } from "./terminal.ts";
import { cleanEnv, heartbit, holding, main, newDirectory, newStore, SHORT, start } from "./heartbit.ts";

const execute = promisify(execFile);

describe("ping", () => {
  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("holds a key until %s: exits with %d, and the key is dead at once", async (signal, code) => {
    const env = await newStore();
    const held = await holding("a", env);
    held.child.kill(signal);
    expect(await held.ended).toMatchObject({ code, signal: null, stdout: "" });
    expect((await heartbit(["ls", "--all"], env)).stdout).toMatch(/^a +dead /);
  });
});

describe("where nothing is found", () => {
  it("a command says where it looked, and what may have been meant", async () => {
    const env = await newStore();
    const place = `in the namespace "presence" (SQLite in ${(env["HEARTBIT_STORE"] ?? "").slice(7)})`;
    await holding("worker-1", env);
    const talk = async (...args: string[]): Promise<unknown> => {
      const { code, stdout, stderr } = await heartbit(args, env);
      return [code, stdout, stderr];
    };
    expect(await talk("ls", "job-")).toEqual([0, "", `No keys that begin with "job-" are alive ${place}.\n`]);
    expect(await talk("kill", "worker")).toEqual([0, "0 holders ended\n", `Nobody holds worker ${place}.\n`]);
    const mistyped = `wroker-1 is not alive after 10 ms ${place}. Did you mean worker-1?\n`;
    expect(await talk("wait", "wroker-1", "--timeout", "10ms")).toEqual([3, "", mistyped]);
    // A loop that checks again and again must not have all keys read each time.
    expect(await talk("wait", "wroker-1", "--timeout", "0")).toEqual([
      3,
      "",
      `wroker-1 is not alive ${place}.\n`,
    ]);
    const unlike = `other is not alive after 10 ms ${place}.\n`;
    expect(await talk("wait", "other", "--timeout", "10ms")).toEqual([3, "", unlike]);
    const watch = start(["watch", "job-"], env);
    const nothing = /No keys that begin with "job-" are alive yet in the namespace "presence" .*\.\n/;
    await watch.says("stderr", nothing);
  });

  it("a command that only looks names a namespace that is not there, and does not set it up", async () => {
    const env = await newStore("300ms");
    await holding("a", env);
    const unused = `Nobody has used the namespace "other" (SQLite in ${(env["HEARTBIT_STORE"] ?? "").slice(7)}) yet`;
    const look = async (...args: string[]): Promise<unknown> => {
      const { code, stderr } = await heartbit([...args, "--name", "other"], env);
      return [code, stderr];
    };
    expect(await look("wait", "a", "--dead")).toEqual([0, `${unused}, so a counts as dead.\n`]);
    expect(await look("prune")).toEqual([0, `${unused}: nothing to delete.\n`]);
    for (const more of [[], ["--json"]]) {
      expect(await look("drop", "--yes", ...more)).toEqual([0, `${unused}: nothing to remove.\n`]);
    }
    expect(await look("kill", "a")).toEqual([0, expect.stringMatching(/"other" .*: nobody has used it yet/)]);
    expect(await look("wait", "a", "--timeout", "0")).toEqual([
      3,
      expect.stringMatching(/^a is not alive in the namespace "other" .*: nobody has used it yet\.\n$/),
    ]);
    expect(await look("wait", "a", "--timeout", "10ms")).toEqual([
      3,
      expect.stringContaining(`${unused}: waiting until a process does.\na is not alive after 10 ms`),
    ]);
    const waits = start(["wait", "a", "--name", "other"], { HEARTBIT_STORE: env["HEARTBIT_STORE"] ?? "" });
    const watch = start(["watch", "--name", "other"], { HEARTBIT_STORE: env["HEARTBIT_STORE"] ?? "" });
    for (const running of [waits, watch]) await running.says("stderr", /: waiting until a process does\.\n/);
    const { stdout } = await heartbit(["doctor"], { ...env, HEARTBIT_NAME: "other" });
    expect(stdout).toMatch(/"other" is not set up yet.*\n +If a program uses it already, that has another/);
    await holding("a", env, "--name", "other"); // with another period than theirs would have been
    expect((await waits.ended).code).toBe(0);
    await watch.says("stdout", / a +alive +/);
  });

  it("ls says how to look elsewhere, and makes nothing, where there is no namespace", async () => {
    const directory = await newDirectory();
    const { code, stdout, stderr } = await heartbit(["ls"], { XDG_DATA_HOME: directory });
    expect([code, stdout]).toEqual([0, ""]);
    expect(stderr).toBe(
      `No keys are alive in the namespace "presence" (SQLite in ${directory}/heartbit): nobody has used it yet. Set --store or HEARTBIT_STORE to look elsewhere.\n`,
    );
    expect(existsSync(`${directory}/heartbit`)).toBe(false);
  });
});

describe("ls", () => {
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

  it("says that it reads where a person waits, and leaves nothing of that", async () => {
    const env = await newStore();
    await holding("a", env);
    const { running } = inTerminal([process.execPath, main(), "ls"], env);
    const { stdout } = await running.ended;
    const [said, left] = stdout.split("\r\u001b[K");
    expect(said).toContain("\rreading …");
    expect(left).toContain("KEY");
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
    await watch.says("stdout", /^\S+Z  w-1 +alive  initial  \S+:\d+\n/); // without colours
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
});

describe("output that cannot be written", () => {
  it.each(["ls", "watch"])(
    "ends %s quietly when its reader has gone, however much there is",
    async (command) => {
      const env = await newStore();
      const presence = await Presence.open(env["HEARTBIT_STORE"] ?? "");
      onTestFinished(() => presence.close());
      const keys = Array.from({ length: 3000 }, (_, index) => `a-key-of-some-length-${index}`);
      await Promise.all(keys.map((key) => presence.pinger(key).start()));
      const running = start([command], env);
      running.child.stdout?.destroy();
      expect(await running.ended).toMatchObject({ code: 0, signal: null, stderr: "" });
    },
  );

  it.each([
    [["run", "--json", "a", "--", "sh", "-c", "exit 5"], 5],
    [["wait", "--json", "a", "--timeout", "0"], 3],
  ])("leaves the outcome of %j as it is where nobody reads", async (args, code) => {
    const unread = start(args, await newStore());
    unread.child.stdout?.destroy();
    expect(await unread.ended).toMatchObject({ code, stderr: expect.not.stringMatching(/EPIPE/) as string });
  });

  it("is said by every command, which exits with 1", async ({ skip }) => {
    skip(!existsSync("/dev/full"), "only Linux has /dev/full");
    const env = cleanEnv(await newStore());
    const stderr = expect.stringContaining("heartbit: The output cannot be written (ENOSPC).\n") as string;
    for (const command of ["ls --json", "--help", "doctor --json"]) {
      const script = `exec "$0" "$1" ${command} > /dev/full`;
      const full = execute("sh", ["-c", script, process.execPath, main()], { env });
      await expect(full).rejects.toMatchObject({ code: 1, stderr });
    }
  });
});

describe("wait", () => {
  it("returns when the key is alive, or with --dead when it is dead, at once where it never was", async () => {
    const env = await newStore();
    const born = start(["wait", "a", "--json"], env);
    const held = await holding("a", env);
    const dies = start(["wait", "a", "--dead", "--json"], env);
    expect((await born.ended).stdout).toContain('"alive":true');
    held.child.kill("SIGINT");
    const { code, stdout } = await dies.ended;
    expect([code, stdout]).toEqual([0, expect.stringContaining('"alive":false')]);
    expect(await heartbit(["wait", "never", "--dead"], env)).toMatchObject({ code: 0, stderr: "" });
  });

  it("exits with 3 on time-out, and looks once with a time-out of 0", async () => {
    const env = await newStore();
    await holding("a", env);
    const { code, stdout, stderr } = await heartbit(["wait", "b", "--timeout", "200ms"], env);
    expect([code, stdout]).toEqual([3, ""]);
    expect(stderr).toMatch(/^b is not alive after 200 ms in the namespace "presence" \(SQLite in \S+\)\.\n$/);
    expect((await heartbit(["wait", "a", "--dead", "--timeout", "0"], env)).code).toBe(3);
    expect((await heartbit(["wait", "a", "--timeout", "0"], env)).code).toBe(0);
  });

  it("is not taken in by a key that was alive when everybody crashed; ls says so", async () => {
    const env = await newStore("200ms");
    const held = await holding("a", env);
    held.child.kill("SIGKILL");
    await held.ended;
    let listed = await heartbit(["ls"], env);
    while (listed.stderr === "") listed = await heartbit(["ls"], env);
    expect(listed).toMatchObject({ code: 0, stdout: expect.stringMatching(/^a /) as string });
    expect(listed.stderr).toMatch(/^Unconfirmed: nobody has pinged lately\./);
    const waits = start(["wait", "a"], env);
    await waits.says("stderr", /^a was alive when pings were last seen; waiting for recent ones\.\n/);
    expect(await heartbit(["wait", "a", "--timeout", "1s"], env)).toMatchObject({ code: 3, stdout: "" });
    waits.child.kill("SIGINT");
    expect(await waits.ended).toMatchObject({ code: 130, stdout: "" });
    await heartbit(["kill", "a"], env);
    let left = await heartbit(["ls", "--all", "--json"], env);
    while (left.stdout.includes('"confirmed":true')) left = await heartbit(["ls", "--all", "--json"], env);
    expect(left.stderr).toBe(""); // the dead are certainly dead
  });
});

it("kill prints how many holders it ended, which living holders survive", async () => {
  const env = await newStore(SHORT);
  const holders = [await holding("a", env), await holding("a", env)];
  expect(await heartbit(["kill", "a"], env)).toMatchObject({ code: 0, stdout: "2 holders ended\n" });
  await Promise.all(holders.map((held) => held.says("stderr", /Another process reported a dead/)));
  expect((await heartbit(["wait", "a", "--timeout", "2m"], env)).code).toBe(0);
});

it("drop does nothing without --yes, and with it removes all", async () => {
  const env = await newStore();
  const held = await holding("a", env);
  held.child.kill("SIGINT");
  await held.ended;
  const refused = await heartbit(["drop"], env);
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toMatch(/the namespace "presence" \(SQLite in .*\): add --yes/);
  expect((await heartbit(["ls", "--all"], env)).stdout).toMatch(/^a /);
  expect((await heartbit(["drop", "--yes"], env)).code).toBe(0);
  expect((await heartbit(["ls", "--all"], env)).stdout).toBe("");
});

describe("the namespace", () => {
  it("keeps its period: a command without one uses it, a command with another one is refused", async () => {
    const { HEARTBIT_STORE = "" } = await newStore();
    await holding("a", { HEARTBIT_STORE }, "--period", "300ms");
    expect((await heartbit(["wait", "a", "--timeout", "2m"], { HEARTBIT_STORE })).code).toBe(0);
    const other = await heartbit(["ls", "--period", "5s"], { HEARTBIT_STORE });
    expect(other).toMatchObject({ code: 1, stdout: "" });
    expect(other.stderr).toMatch(
      /^heartbit: .* of 300 ms, not 5 s: leave --period out, or choose another --name\.\n$/,
    );
    const said = await heartbit(["watch"], { HEARTBIT_STORE, HEARTBIT_PERIOD: "5s" });
    expect(said.stderr).toMatch(/leave HEARTBIT_PERIOD out/);
  });

  it("is taken from flags, the environment, and heartbit.config.json in the current directory", async () => {
    const env = await newStore();
    const cwd = await newDirectory();
    await holding("a", env, "--name", "other");
    const settings = { store: env["HEARTBIT_STORE"], name: "other", period: "5s" };
    await writeFile(`${cwd}/heartbit.config.json`, JSON.stringify(settings));
    const run = (args: string[], more = {}): Promise<{ stdout: string }> =>
      execute(process.execPath, [main(), ...args], { cwd, env: cleanEnv(more) });
    expect((await run(["ls"])).stdout).toMatch(/^a /);
    expect((await run(["ls"], { HEARTBIT_NAME: "presence" })).stdout).toBe("");
    expect((await run(["--name", "other", "ls"], { HEARTBIT_NAME: "presence" })).stdout).toMatch(/^a /);
    await writeFile(`${cwd}/heartbit.config.json`, '{"stoer": "x"}');
    const stderr = expect.stringMatching(/has "stoer"/) as string;
    await expect(run(["ls"])).rejects.toMatchObject({ code: 2, stderr });
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
    const silent = await listen((socket) => socket.once("data", () => (isAsked = true)));
    onTestFinished(() => silent.stop());
    const store = `mongodb://${silent.address}/x`;
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
    [["lss", "--help"], /unknown command 'lss' \(Did you mean ls\?\)/],
    [["help", "nonsense"], /unknown command 'nonsense'/],
    [["ls", "--stor", "x"], /unknown option '--stor' \(Did you mean --store\?\) See: heartbit ls --help/],
    [["ls", "--period", "soon"], /'soon' is invalid\. Write a time like/],
    [["ls", "--period", "1"], /--period is 1 ms, but must be from 100 ms to 1 h\. A number alone is in ms\./],
    [["demo", "--period", "2h"], /--period is 2 h 00 m, but must be/],
    [["ls", "--name", "a b"], /--name is "a b", but must be 1 to 64 letters/],
    [
      ["ls", "--store", "localhost:27017"],
      /^heartbit: --store begins with "localhost:", .* Write mongodb:\/\/ before/,
    ],
    [["ls", "--store", "sqlite:"], /--store has nothing after "sqlite:"/],
    [["ls", "a", "b"], /too many arguments/],
    [["ls", "--store", "redis://me:secret@host"], /begins with "redis:"/],
    [["ls", "--store", "sqlite:~/x"], /begins with ~, which no shell has expanded: write \$HOME/],
    [["ping", "a", "--store", "sqlite:~"], /begins with ~, which no shell has expanded: write \$HOME/],
    [["wait"], /missing required argument 'key'/],
    [["wait", ""], /A key must be a non-empty string/],
    [["wait", "a", "--timeout", "-1s"], /Write a time like/],
    [["run", "a"], /missing required argument 'cmd'/],
    [["run", "a", "node", "-e", "0"], /unknown option '-e'\. Options of the command to run stand after --\./],
    [["run", "a", "node", "x.js", "--name", "b"], /Write -- before the command to run/],
    [["run", "a", "npm", "run", "x", "--", "--watch"], /Write -- before the command to run/],
    [["run", "a", "--meta", "{", "--", "true"], /Write JSON/],
    [["run", "a", "--grace", "soon", "--", "true"], /Write a time like/],
    [["run", "a", "--grace", "5s", "--", "true"], /--grace needs --stop-on-lapse, without which/],
    [["wait", "a", "--store", `sqlite:${import.meta.filename}/x`], /is not a directory|ENOTDIR/],
    [["ping", "a", "--meta", `"${"x".repeat(17_000)}"`], /16 KiB/],
    [["mongodb://me:secret@host"], /unknown command 'mongodb:\/\/\*\*\*@host'/],
    [["demo", "--store", "memory:x"], /share no memory/],
    [["bench", "--store", "memory:x"], /share no memory/],
    [["bench", "--plan", "--processes", "0"], /Write a number/],
    [["bench", "--plan", "--processes", "1.5"], /Write a number/],
    [["completion", "tcsh"], /Allowed choices are bash, zsh, fish/],
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

it("--help of each command, and of all, is on stdout, with examples, and 0; help is the same", async () => {
  const all = "demo run ping ls watch wait serve kill prune drop doctor bench completion";
  const commands = all.split(" ");
  const helps = await Promise.all([[], ...commands].map((name) => heartbit([name, "--help"].flat())));
  helps.forEach(({ code, stdout, stderr }, index) => {
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(new RegExp(`^Usage: heartbit ${commands[index - 1] ?? "<command>"}`));
    expect(stdout).toMatch(/Examples:\n {2}heartbit /);
    expect(stdout).toContain("--store <target>");
    expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
  });
  for (const name of commands) expect(helps[0]?.stdout).toMatch(new RegExp(`^  ${name} `, "m"));
  expect([await heartbit(["help"]), await heartbit(["help", "demo"])]).toEqual(helps.slice(0, 2));
  expect((await heartbit(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+/);
});
