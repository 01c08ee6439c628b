/** The command where the machine is unusual. What it does on every machine is tested in test/cli. */
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Consumer, type Ended } from "./consumer.ts";
import { NotHere } from "./report.ts";
import { expectMatch, expectSame, pinned, type Tools } from "./tools.ts";

const NOBODY = { uid: 12_345, gid: 12_345 };
const MAIN = "node_modules/heartbit/dist/cli/main.js";

export async function command({ report, tarball }: Tools): Promise<void> {
  await using consumer = await Consumer.install({ tarball, packages: pinned("@photostructure/sqlite") });
  const clean = { HOME: join(consumer.folder, "home"), XDG_DATA_HOME: "", HEARTBIT_STORE: "" };
  await mkdir(clean.HOME);

  /** Runs in namespaces of its own, where that can be done. */
  const unshare = async (args: string[], env: NodeJS.ProcessEnv = clean): Promise<Ended> => {
    const ended = await consumer.run("unshare", args, env);
    const isHere = !/unshare:|mount:|ENOENT/.test(ended.output) && !Number.isNaN(ended.status);
    if (!isHere) throw new NotHere(ended.output || "no unshare");
    return ended;
  };

  await report.try("heartbit run as PID 1 of a container passes the status on", async () => {
    const held = [process.execPath, MAIN, "run", "k", "--", "sh", "-c", "sleep 0.1 & exit 5"];
    const { status, output } = await unshare(["--pid", "--fork", "--mount-proc", ...held]);
    expectSame(status, 5, output);
  });

  const asNobody = async (args: string[], env: NodeJS.ProcessEnv): Promise<Ended> => {
    if (process.getuid?.() !== 0) throw new NotHere("only root can be somebody else");
    await chmod(consumer.folder, 0o755);
    return consumer.run(process.execPath, [MAIN, ...args], { ...clean, HOME: "", ...env }, undefined, NOBODY);
  };

  const what = "a user without a home directory is given the options; with XDG_DATA_HOME it works";
  await report.try(what, async () => {
    const { status, output } = await asNobody(["ls"], {}); // HOME is empty
    const options = "set --store, HEARTBIT_STORE or XDG_DATA_HOME";
    expectMatch(output, new RegExp(`There is no home directory to keep a store in: ${options}`));
    expectSame(status, 2);
    const data = join(consumer.folder, "data");
    await mkdir(data);
    await chmod(data, 0o777);
    const ls = [process.execPath, MAIN, "ls"];
    expectMatch((await asNobody(["run", "k", "--", ...ls], { XDG_DATA_HOME: data })).stdout, /^k /);
  });

  await report.try("a read-only file system: ls works, and run says what cannot be written", async () => {
    const there = join(consumer.folder, "read-only");
    await mkdir(there);
    const script = `mount -t tmpfs -o ro tmpfs "$1" && shift && exec "$@"`;
    const readOnly = (...args: string[]): Promise<Ended> => {
      const shell = ["--mount", "sh", "-c", script, "sh", there, process.execPath, MAIN, ...args];
      return unshare(shell, { ...clean, XDG_DATA_HOME: there });
    };
    const ls = await readOnly("ls");
    expectSame(ls.status, 0, ls.output);
    const run = await readOnly("run", "k", "--", "true");
    expectSame(run.status, 1, run.output);
    expectMatch(run.output, /^heartbit: .*read-only/i);
  });

  await report.try("npx heartbit demo", async () => {
    const { status, stdout, output } = await consumer.run("npx", ["heartbit", "demo"], clean);
    expectSame(status, 0, output);
    return stdout.trim().split("\n").at(-1) ?? "";
  });
}
