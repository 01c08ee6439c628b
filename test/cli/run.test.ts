import { chmod, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { type Env, heartbit, newDirectory, newStore, SHORT, start } from "./heartbit.ts";

const node = (script: string): string[] => ["--", process.execPath, "-e", script];
const keys = async (env: Env): Promise<string> => (await heartbit(["ls"], env)).stdout;

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
    expect(JSON.parse(stdout)).toEqual({ key: "a", exitCode: 143, signal: "SIGTERM" });
    expect(code).toBe(143);
  });

  it("says when another has reported the key dead, and holds it on", async () => {
    const env = await newStore(SHORT);
    const run = start(["run", "a", ...node("console.log(1); setTimeout(() => {}, 60000)")], env);
    await run.says("stdout", /1/);
    await heartbit(["kill", "a"], env);
    await run.says("stderr", /Another reported a dead; it is taken up again\./);
    expect((await heartbit(["wait", "a"], env)).code).toBe(0);
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
