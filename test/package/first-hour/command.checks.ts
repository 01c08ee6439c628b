/** The command where the machine is unusual. What it does on every machine is tested in test/cli. */
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, type TestContext } from "vitest";
import { Consumer, type Ended, pinned } from "./consumer.ts";

const NOBODY = { uid: 12_345, gid: 12_345 };
const MAIN = "node_modules/heartbit/dist/cli/main.js";

const consumer = await Consumer.install({ packages: pinned("@photostructure/sqlite") });
const clean = { HOME: join(consumer.folder, "home"), XDG_DATA_HOME: "", HEARTBIT_STORE: "" };
await mkdir(clean.HOME);

/** Runs in namespaces of its own, where that can be done. */
async function unshare(
  { skip }: TestContext,
  args: string[],
  env: NodeJS.ProcessEnv = clean,
): Promise<Ended> {
  const ended = await consumer.run("unshare", args, { env });
  const isHere = !/unshare:|mount:|ENOENT/.test(ended.output) && !Number.isNaN(ended.status);
  skip(!isHere, ended.output || "no unshare");
  return ended;
}

it("heartbit run as PID 1 of a container passes the status on", async (test) => {
  const held = [process.execPath, MAIN, "run", "k", "--", "sh", "-c", "sleep 0.1 & exit 5"];
  expect(await unshare(test, ["--pid", "--fork", "--mount-proc", ...held])).toMatchObject({ status: 5 });
});

it("a user without a home directory is given the options; with XDG_DATA_HOME it works", async ({ skip }) => {
  skip(process.getuid?.() !== 0, "only root can be somebody else");
  await chmod(consumer.folder, 0o755);
  const asNobody = (args: string[], env: NodeJS.ProcessEnv): Promise<Ended> =>
    consumer.run(process.execPath, [MAIN, ...args], { env: { ...clean, HOME: "", ...env }, user: NOBODY });
  const { status, output } = await asNobody(["ls"], {}); // HOME is empty
  expect(output).toContain(
    "There is no home directory to keep a store in: set --store, HEARTBIT_STORE or XDG_DATA_HOME",
  );
  expect(status).toBe(2);
  const data = join(consumer.folder, "data");
  await mkdir(data);
  await chmod(data, 0o777);
  const ls = [process.execPath, MAIN, "ls"];
  expect((await asNobody(["run", "k", "--", ...ls], { XDG_DATA_HOME: data })).stdout).toMatch(/^k /);
});

it("on a read-only file system ls works, and run says what cannot be written", async (test) => {
  const there = join(consumer.folder, "read-only");
  await mkdir(there);
  const script = `mount -t tmpfs -o ro tmpfs "$1" && shift && exec "$@"`;
  const readOnly = (...args: string[]): Promise<Ended> => {
    const shell = ["--mount", "sh", "-c", script, "sh", there, process.execPath, MAIN, ...args];
    return unshare(test, shell, { ...clean, XDG_DATA_HOME: there });
  };
  expect(await readOnly("ls")).toMatchObject({ status: 0 });
  const run = await readOnly("run", "k", "--", "true");
  expect(run).toMatchObject({
    status: 1,
    output: expect.stringMatching(/^heartbit: .*read-only/i) as string,
  });
});
