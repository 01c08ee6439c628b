/** What a command leaves as it is, and what it says and exits with when something outside of it is wrong. */
import { spawn } from "node:child_process";
import { symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { readConfigFile } from "../../src/cli/config-file.ts";
import { explain } from "../../src/cli/errors.ts";
import { HeartbitError } from "../../src/core/errors.ts";
import { Presence } from "../../src/index.ts";
import { needs } from "../support/needs.ts";
import { cleanEnv, heartbit, main, newDirectory, newStore, Running, start } from "./heartbit.ts";

describe("run and the stdin of its command", () => {
  needs(process.platform === "linux", "only Linux has /proc, which shows the flags of a pipe");

  it("a signal leaves it blocking, as it was", async () => {
    const script = "trap 'cat /proc/self/fdinfo/0; exit 7' INT; echo ready; while :; do sleep 0.05; done";
    const child = spawn(process.execPath, [main(), "run", "a", "--", "sh", "-c", script], {
      env: cleanEnv(await newStore()),
      stdio: ["pipe", "pipe", "pipe"],
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    const run = new Running(child);
    await run.says("stdout", /ready/);
    child.kill("SIGINT");
    const { code, stdout } = await run.ended;
    const [, flags = ""] = /^flags:\s+([0-7]+)$/m.exec(stdout) ?? [];
    expect([code, parseInt(flags, 8) & 0o4000]).toEqual([7, 0]); // O_NONBLOCK
  });
});

it.each([
  ["run", ["run", "a", "--", "sh", "-c", "exit 5"], 5],
  ["wait", ["wait", "a", "--timeout", "0"], 3],
  ["ls", ["ls"], 0],
])("the outcome of %s counts, even if nobody reads its JSON", async (_name, [name = "", ...args], code) => {
  const unread = start([name, "--json", ...args], await newStore());
  unread.child.stdout?.destroy();
  expect(await unread.ended).toMatchObject({ code, stderr: expect.not.stringMatching(/EPIPE/) as string });
});

it("heartbit.config.json may begin with a byte order mark", async () => {
  const file = join(await newDirectory(), "heartbit.config.json");
  await writeFile(file, '\uFEFF{"name":"agents"}');
  expect(readConfigFile(file)).toEqual({ name: "agents" });
});

describe("a store in ~", () => {
  it.each(["sqlite:~/x", "sqlite:~"])("%s is refused, since no shell has expanded it", async (store) => {
    for (const args of [["ls"], ["ping", "a"], ["doctor"]]) {
      const { code, stdout, stderr } = await heartbit(args, { HEARTBIT_STORE: store });
      expect(code).toBe(args[0] === "doctor" ? 1 : 2);
      expect(stdout + stderr).toMatch(/begins with ~, which no shell has expanded: write \$HOME/);
    }
    await expect(Presence.open(store)).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });
});

describe("the advice on a SQLite store", () => {
  it("speaks of no password, unlike that on a server", () => {
    const refused = new HeartbitError("NOT_PERMITTED", "It may not be used.");
    expect(explain(refused, "sqlite:/x")).toMatch(/Give this user the rights to the directory/);
    expect(explain(refused, "mongodb://db/app")).toMatch(/Check the user, its password and its rights/);
  });

  it("does not ask whether it is running", async () => {
    const loop = join(await newDirectory(), "loop");
    await symlink(loop, loop);
    const { code, stderr } = await heartbit(["ping", "a"], { HEARTBIT_STORE: `sqlite:${loop}` });
    expect([code, stderr]).toEqual([1, expect.stringMatching(/ELOOP.* Is --store .* right\?\n$/)]);
    expect(stderr).not.toMatch(/running/);
  });
});
