import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { chmod, writeFile } from "node:fs/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { Guardian } from "../../src/cli/guardian.ts";
import { startServer, withDatabase } from "../servers/index.ts";
import { needs } from "../support/needs.ts";
import { passes, until } from "../support/wait.ts";
import { type Env, heartbit, newDirectory, newStore, type Running, SHORT, start } from "./heartbit.ts";

const node = (script: string): string[] => ["--", process.execPath, "-e", script];
const keys = async (env: Env): Promise<string> => (await heartbit(["ls"], env)).stdout;

/** Whether there is such a process; one that nobody has asked for its end has ended. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== "linux" || !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

describe("run", () => {
  it("holds the key while the command runs, and kills it at the end", async () => {
    const env = await newStore();
    const run = start(
      ["run", "a", "--meta", '{"try":1}', ...node("console.log(1); setTimeout(() => {}, 60000)")],
      env,
    );
    await run.says("stdout", /1/);
    expect(await keys(env)).toMatch(/^a .*\{"try":1\}\n$/);
    run.child.kill("SIGTERM");
    await run.ended;
    expect((await heartbit(["ls", "--all"], env)).stdout).toMatch(/^a +dead /);
  });

  it.each([
    ["", "a command that ends when it is asked to"],
    ["process.on('SIGTERM', () => {});", "a command that does not"],
  ])("takes the command with it when it is killed itself (%j: %s)", async (script) => {
    const run = start(
      ["run", "a", ...node(`${script} console.log(process.pid); setTimeout(() => {}, 60000)`)],
      await newStore(),
    );
    const [, pid] = await run.says("stdout", /(\d+)\n/);
    run.child.kill("SIGKILL");
    await until(() => !isRunning(Number(pid)));
  });

  it("leaves a command alone that it has not started, after its own has ended", async () => {
    const guardian = new Guardian();
    const [first, second] = [1, 2].map(() => spawn(process.execPath, ["-e", "setTimeout(() => {}, 60000)"]));
    onTestFinished(() => void second?.kill("SIGKILL"));
    guardian.guard(first?.pid);
    guardian.release();
    guardian.guard(undefined);
    const { shell } = guardian;
    shell?.stdin?.end();
    if (shell !== undefined) await once(shell, "exit");
    expect([first, second].map((child) => child?.exitCode ?? child?.signalCode)).toEqual([null, null]);
    first?.kill("SIGKILL");
  });

  it("leaves stdin, stdout and stderr to the command", async () => {
    const env = await newStore();
    const script = "console.log('out'); console.error('err')";
    expect(await heartbit(["run", "a", ...node(script)], env)).toEqual({
      code: 0,
      signal: null,
      stdout: "out\n",
      stderr: "err\n",
    });
  });

  it.each([0, 1, 3, 130, 255])("exits with the command's status %d", async (status) => {
    const { code } = await heartbit(["run", "a", ...node(`process.exit(${status})`)], await newStore());
    expect(code).toBe(status);
  });

  it("exits with 128 + n when signal n ended the command", async () => {
    const script = "process.kill(process.pid, 'SIGKILL')";
    expect((await heartbit(["run", "a", ...node(script)], await newStore())).code).toBe(137);
  });

  it("exits with 127 when there is no such command, and 126 when it cannot be run; the key is dead", async () => {
    const env = await newStore();
    const missing = await heartbit(["run", "a", "--", "no-such-command"], env);
    expect(missing).toMatchObject({ code: 127, stderr: "heartbit: There is no command no-such-command.\n" });
    const file = `${await newDirectory()}/file`;
    await writeFile(file, "");
    await chmod(file, 0o600);
    const refused = await heartbit(["run", "a", "--", file], env);
    expect(refused).toMatchObject({ code: 126, stderr: `heartbit: ${file} cannot be run: EACCES.\n` });
    const inside = await heartbit(["run", "a", "--", `${file}/x`], env);
    expect(inside).toMatchObject({ code: 126, stderr: `heartbit: ${file}/x cannot be run: ENOTDIR.\n` });
    expect(await keys(env)).toBe("");
  });

  it("hands the command its arguments as they are", async () => {
    const args = ["--json", "--", "-x", "a b"];
    const script = "console.log(JSON.stringify(process.argv.slice(1)))";
    const { stdout } = await heartbit(["run", "a", ...node(script), "--", ...args], await newStore());
    expect(JSON.parse(stdout)).toEqual(args);
  });

  it.each(["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const)(
    "hands %s on to the command, and goes on until that has ended",
    async (signal) => {
      const script = `process.on('${signal}', () => console.log('heard') || setImmediate(() => process.exit(9))); console.log('ready'); setTimeout(() => {}, 60000)`;
      const run = start(["run", "a", ...node(script)], await newStore());
      await run.says("stdout", /ready/);
      run.child.kill(signal);
      expect(await run.ended).toEqual({ code: 9, signal: null, stdout: "ready\nheard\n", stderr: "" });
    },
  );

  it("says with --json how the command ended", async () => {
    const { stdout, code } = await heartbit(
      ["run", "a", "--json", ...node("process.kill(process.pid)")],
      await newStore(),
    );
    expect(JSON.parse(stdout)).toEqual({
      key: "a",
      exitCode: 143,
      signal: "SIGTERM",
      restarts: 0,
      stopped: false,
    });
    expect(code).toBe(143);
  });

  it("says when another has reported the key dead, and holds it on", async () => {
    const env = await newStore(SHORT);
    const run = start(["run", "a", ...node("console.log(1); setTimeout(() => {}, 60000)")], env);
    await run.says("stdout", /1/);
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
      start(["run", key, ...node("console.log(1); setTimeout(() => {}, 60000)")], env),
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
    expect(stderr).toMatch(/^heartbit: .* has a period of 5000 ms, .*\n$/);
  });
});

/** Fails the first time, and not the second. */
const failsOnce = (file: string): string[] =>
  node(
    `const fs = require("fs"); if (!fs.existsSync(${JSON.stringify(file)})) { fs.writeFileSync(${JSON.stringify(file)}, ""); process.exit(5); } console.log("again")`,
  );

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

  it("does not when a signal was handed on, nor when it is interrupted in between", async () => {
    const env = await newStore();
    const asked = start(
      ["run", "a", "--restart", ...node("console.log(1); setTimeout(() => {}, 60000)")],
      env,
    );
    await asked.says("stdout", /1/);
    asked.child.kill("SIGTERM");
    expect(await asked.ended).toMatchObject({ code: 143, stderr: "" });
    const waiting = start(["run", "b", "--restart", ...node("process.exit(5)")], env);
    await waiting.says("stderr", /started again in 2 s/);
    waiting.child.kill("SIGINT");
    expect((await waiting.ended).code).toBe(130);
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

  it("is interrupted in between by SIGQUIT too", async () => {
    const run = start(["run", "a", "--restart", ...node("process.exit(5)")], await newStore());
    await run.says("stderr", /started again in 1 s/);
    run.child.kill("SIGQUIT");
    expect(await run.ended).toMatchObject({ code: 131, signal: null });
  });

  it("does not where there is no such command", async () => {
    const args = ["run", "a", "--restart", "--", "no-such-command"];
    expect((await heartbit(args, await newStore())).code).toBe(127);
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
    const script =
      "console.log(1); process.on('SIGTERM', () => process.exit(0)); setTimeout(() => {}, 60000)";
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

  it("kills it where it does not end in time, and starts it again with --restart", async () => {
    const env = await newStore("1s");
    const script = "console.log(process.pid); process.on('SIGTERM', () => {}); setTimeout(() => {}, 60000)";
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
