import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { Guardian } from "../../src/cli/guardian.ts";
import { startServer, withDatabase } from "../servers/index.ts";
import { needs } from "../support/needs.ts";
import { passes, until } from "../support/wait.ts";
import {
  type Env,
  heartbit,
  isRunning,
  main,
  newDirectory,
  newStore,
  type Running,
  SHORT,
  start,
} from "./heartbit.ts";
import { CTRL_C, inTerminal } from "./terminal.ts";

const node = (script: string): string[] => ["--", process.execPath, "-e", script];
const keys = async (env: Env): Promise<string> => (await heartbit(["ls"], env)).stdout;

/** Does nothing for a minute. */
const IDLE = "setTimeout(() => {}, 60000)";

/** Runs a command that says so once it has started, and idles then. */
async function idling(env: Env, ...flags: string[]): Promise<Running> {
  const run = start(["run", "a", ...flags, ...node(`console.log(1); ${IDLE}`)], env);
  await run.says("stdout", /1/);
  return run;
}

describe("run", () => {
  it("holds the key while the command runs, and kills it at the end", async () => {
    const env = await newStore();
    const run = await idling(env, "--meta", '{"try":1}');
    expect(await keys(env)).toMatch(/^a .*\{"try":1\}\n$/);
    run.child.kill("SIGTERM");
    await run.ended;
    expect((await heartbit(["ls", "--all"], env)).stdout).toMatch(/^a +dead /);
  });

  it.each([
    ["", "a command that ends when it is asked to"],
    ["process.on('SIGTERM', () => {});", "a command that does not"],
  ])("takes the command with it when it is killed itself (%j: %s)", async (script) => {
    const command = node(`${script} console.log(process.pid); ${IDLE}`);
    const run = start(["run", "a", ...command], await newStore());
    const [, pid] = await run.says("stdout", /(\d+)\n/);
    run.child.kill("SIGKILL");
    await until(() => !isRunning(Number(pid)));
  });

  it("takes with it what the command has started, where no terminal is", async () => {
    const script = `"$0" -e 'console.log(process.pid); ${IDLE}'; true`;
    const command = ["--", "sh", "-c", script, process.execPath];
    const run = start(["run", "a", ...command], await newStore());
    const [, pid] = await run.says("stdout", /(\d+)\n/);
    run.child.kill("SIGKILL");
    await until(() => !isRunning(Number(pid)));
  });

  it("leaves a command alone that it has not started, after its own has ended", async () => {
    const guardian = new Guardian();
    const child = spawn(process.execPath, ["-e", IDLE]);
    onTestFinished(() => void child.kill("SIGKILL"));
    guardian.guard(child.pid);
    guardian.release();
    guardian.guard(undefined);
    const { shell } = guardian;
    shell?.stdin?.end();
    if (shell !== undefined) await once(shell, "exit");
    expect(child.exitCode ?? child.signalCode).toBeNull();
  });

  it("hands the command its arguments as they are, and leaves stdout and stderr to it", async () => {
    const args = ["--json", "--", "-x", "a b"];
    const script = "console.log(JSON.stringify(process.argv.slice(1))); console.error('err')";
    const ended = await heartbit(["run", "a", ...node(script), "--", ...args], await newStore());
    expect(ended).toEqual({ code: 0, signal: null, stdout: `${JSON.stringify(args)}\n`, stderr: "err\n" });
  });

  it.each([
    ["its status", "process.exit(3)", 3],
    ["128 + n when signal n ended it", "process.kill(process.pid, 'SIGKILL')", 137],
  ])("exits with %s", async (_what, script, code) => {
    expect((await heartbit(["run", "a", ...node(script)], await newStore())).code).toBe(code);
  });

  it("exits with 127 for a missing command, and 126 for one that cannot be run, with --restart too", async () => {
    const env = await newStore();
    const file = `${await newDirectory()}/file`;
    await writeFile(file, "", { mode: 0o600 });
    for (const [command, code, why] of [
      ["no-such-command", 127, "There is no command no-such-command."],
      [file, 126, `${file} cannot be run: EACCES.`],
      [`${file}/x`, 126, `${file}/x cannot be run: ENOTDIR.`],
    ] as const) {
      const ended = await heartbit(["run", "a", "--restart", "--", command], env);
      expect(ended).toMatchObject({ code, stderr: `heartbit: ${why}\n` });
    }
    expect(await keys(env)).toBe("");
  });

  it.each(["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const)(
    "hands %s on to the command, and goes on until that has ended",
    async (signal) => {
      const script = `process.on('${signal}', () => console.log('heard') || setImmediate(() => process.exit(9))); console.log('ready'); ${IDLE}`;
      const run = start(["run", "a", ...node(script)], await newStore());
      await run.says("stdout", /ready/);
      run.child.kill(signal);
      expect(await run.ended).toEqual({ code: 9, signal: null, stdout: "ready\nheard\n", stderr: "" });
    },
  );

  it("leaves Ctrl-C to the terminal, which has sent it to the command, whatever stdin is", async () => {
    const env = await newStore();
    const script = `let heard = 0; process.on("SIGINT", () => heard++ || setTimeout(() => {
      console.log("heard " + heard); process.exit(0); }, 500)); console.log("ready"); ${IDLE}`;
    const run = ["run", "a", ...node(script)];
    const shell = ["sh", "-c", 'exec "$0" "$@" < /dev/null', process.execPath, main(), ...run];
    const { running, type } = inTerminal(shell, env);
    await running.says("stdout", /ready/);
    type(CTRL_C);
    await running.says("stdout", /heard \S*1\b/);
  });

  it("leaves the stdin of its command blocking when a signal comes, as it was", async ({ skip }) => {
    skip(process.platform !== "linux", "only Linux has /proc, which shows the flags of a pipe");
    const script = "trap 'cat /proc/self/fdinfo/0; exit 7' INT; echo ready; while :; do sleep 0.05; done";
    const run = start(["run", "a", "--", "sh", "-c", script], await newStore(), onTestFinished, "pipe");
    await run.says("stdout", /ready/);
    run.child.kill("SIGINT");
    const { code, stdout } = await run.ended;
    const [, flags = ""] = /^flags:\s+([0-7]+)$/m.exec(stdout) ?? [];
    expect([code, parseInt(flags, 8) & 0o4000]).toEqual([7, 0]); // O_NONBLOCK
  });

  it("says when another has reported the key dead, and holds it on", async () => {
    const env = await newStore(SHORT);
    const run = await idling(env);
    await heartbit(["kill", "a"], env);
    await run.says("stderr", /Another process reported a dead; it is taken up again\./);
    expect((await heartbit(["wait", "a"], env)).code).toBe(0);
  });

  it("has ended soon after the command, although the server does not answer", async () => {
    const server = await startServer();
    onTestFinished(() => server.stop());
    const env = { HEARTBIT_STORE: withDatabase(server.uri, "run"), HEARTBIT_PERIOD: "1s" };
    // Several: which connections are open then, or on their way, is up to chance.
    const started = performance.now();
    const runs = ["a", "b", "c", "d"].map((key) =>
      start(["run", key, ...node(`console.log(1); ${IDLE}`)], env),
    );
    await Promise.all(runs.map((run) => run.says("stdout", /1/)));
    const startMs = performance.now() - started;
    server.pause();
    await passes(1000);
    for (const { child } of runs) child.kill("SIGTERM");
    const codes = Promise.all(runs.map(async ({ ended }) => (await ended).code));
    // The bound grows with what four of them need here to begin.
    expect(await Promise.race([codes, passes(5000 + 2 * startMs)])).toEqual([143, 143, 143, 143]);
  });

  it("does not start the command when the key cannot be held", async () => {
    const env = await newStore();
    await heartbit(["run", "a", ...node("")], env);
    const args = ["run", "a", "--period", "1s", ...node("console.log('started')")];
    const { code, stdout, stderr } = await heartbit(args, env);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^heartbit: .* has a period of 5 s, not 1 s: .*\n$/);
  });
});

/** Fails the first time, and not the second. */
const failsOnce = (file: string): string[] => [
  "--",
  "sh",
  "-c",
  `[ -e ${file} ] && echo again || { > ${file}; exit 5; }`,
];

describe("run --restart", () => {
  it("starts a command that failed again; the key is dead in between", async () => {
    const env = await newStore();
    const run = start(["run", "a", "--restart", "--json", ...failsOnce(`${await newDirectory()}/file`)], env);
    await run.says("stderr", /exited with 5; it is started again in 1 s\./);
    expect((await heartbit(["wait", "a", "--dead", "--timeout", "2m"], env)).code).toBe(0);
    const { code, stdout } = await run.ended;
    const [said = "", end = ""] = stdout.split("\n");
    expect(said).toBe("again");
    expect(JSON.parse(end)).toMatchObject({ key: "a", exitCode: 0, restarts: 1 });
    expect(code).toBe(0);
  });

  it("does not when a signal was handed on", async () => {
    const env = await newStore();
    const asked = await idling(env, "--restart");
    asked.child.kill("SIGTERM");
    expect(await asked.ended).toMatchObject({ code: 143, stderr: "" });
  });

  it.each([
    ["SIGINT", 130],
    ["SIGQUIT", 131],
  ] as const)("is interrupted by %s in between", async (signal, code) => {
    const run = start(["run", "a", "--restart", ...node("process.exit(5)")], await newStore());
    await run.says("stderr", /started again in 2 s/);
    run.child.kill(signal);
    expect(await run.ended).toMatchObject({ code, signal: null });
  });

  it.each(["SIGUSR1", "SIGUSR2"] as const)("goes on when %s comes in between", async (signal) => {
    const run = start(
      ["run", "a", "--restart", ...failsOnce(`${await newDirectory()}/file`)],
      await newStore(),
    );
    await run.says("stderr", /started again in 1 s/);
    run.child.kill(signal);
    expect(await run.ended).toMatchObject({ code: 0, stdout: "again\n" });
  });
});

/** Stops the process for longer than others wait before they tell it dead. */
async function pauseForLong({ child, pid }: Running): Promise<void> {
  child.kill("SIGSTOP");
  await until(() => stateOfProcess(pid) === "T");
  await passes(4000);
  child.kill("SIGCONT");
}

/** As /proc has it: `T` is stopped. */
function stateOfProcess(pid: number): string | undefined {
  return /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1];
}

describe("run --stop-on-lapse", () => {
  needs(process.platform === "linux", "only Linux has /proc, which says that a process is stopped");

  it("ends the command when it may have been reported dead, and says so", async () => {
    const env = await newStore("1s");
    const script = `console.log(1); process.on('SIGTERM', () => process.exit(0)); ${IDLE}`;
    const run = start(["run", "a", "--stop-on-lapse", "--json", ...node(script)], env);
    await run.says("stdout", /1/);
    await pauseForLong(run);
    const { code, stdout, stderr } = await run.ended;
    expect(stderr).toMatch(/No ping went through since/);
    expect(JSON.parse(stdout.split("\n")[1] ?? "")).toMatchObject({
      exitCode: 0,
      signal: null,
      stopped: true,
    });
    expect(code).toBe(1);
  });

  it("ends it when another process drops the namespace", async () => {
    const env = await newStore(SHORT);
    const run = await idling(env, "--stop-on-lapse");
    await heartbit(["drop", "--yes"], env);
    const { code, stderr } = await run.ended;
    expect([code, stderr]).toEqual([143, expect.stringMatching(/dropped the namespace: a is not held/)]);
  });

  it("ends what the command has started, and waits for that no longer than the time it has", async () => {
    const env = await newStore(SHORT);
    const script = `"$0" -e 'process.on("SIGTERM", () => {}); console.log(process.pid); ${IDLE}'; true`;
    const flags = ["--stop-on-lapse", "--grace", "1s", "--", "sh", "-c", script, process.execPath];
    const run = start(["run", "a", ...flags], env);
    const [, pid] = await run.says("stdout", /(\d+)\n/);
    await heartbit(["drop", "--yes"], env);
    await run.ended;
    expect(isRunning(Number(pid))).toBe(false);
  });

  it("kills it where it does not end in time, and starts it again with --restart", async () => {
    const env = await newStore("1s");
    const script = `console.log(process.pid); process.on('SIGTERM', () => {}); ${IDLE}`;
    const args = ["run", "a", "--stop-on-lapse", "--restart", "--grace", "100ms", ...node(script)];
    const run = start(args, env);
    const [, first] = await run.says("stdout", /(\d+)\n/);
    await pauseForLong(run);
    await run.says("stderr", /was ended; it is started again in 1 s/);
    expect(() => process.kill(Number(first), 0)).toThrow(/ESRCH/);
    const [, second] = await run.says("stdout", /\d+\n(\d+)\n/);
    process.kill(Number(second), "SIGKILL");
    run.child.kill("SIGTERM");
    await run.ended;
  });
});
