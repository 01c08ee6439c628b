/** The command: says where it looked, works without a home directory, and leaves nothing behind. */
import { chmod, mkdir } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Consumer, type Ended } from "./consumer.ts";
import { NotHere } from "./report.ts";
import { Serving } from "./servers.ts";
import { expectMatch, expectSame, pinned, type Tools } from "./tools.ts";

const NOBODY = { uid: 12_345, gid: 12_345 };
const MAIN = "node_modules/heartbit/dist/cli/main.js";

export async function command({ report, tarball }: Tools): Promise<void> {
  await using consumer = await Consumer.install({ tarball, packages: pinned("@photostructure/sqlite") });
  const home = join(consumer.folder, "home");
  await mkdir(home);
  const clean = { HOME: home, XDG_DATA_HOME: "", HEARTBIT_STORE: "" };
  const heartbit = (args: string[], env: NodeJS.ProcessEnv = clean): Promise<Ended> =>
    consumer.run(process.execPath, [MAIN, ...args], env);

  /** Runs while `worker-7` is held. */
  const inner = (...args: string[]): Promise<Ended> =>
    heartbit(["run", "worker-7", "--", process.execPath, MAIN, ...args]);

  await report.try("heartbit ls without a store says where it looked", async () => {
    const { status, stdout, output } = await heartbit(["ls"]);
    expectSame([status, stdout], [0, ""]);
    expectMatch(
      output,
      /^No keys are alive in the namespace "presence" \(SQLite in .*\): nobody has used it yet\. Set --store or HEARTBIT_STORE/,
    );
  });

  await report.try(
    "heartbit ls of a wrong --name says where it looked, and wait names what may be meant",
    async () => {
      expectMatch(
        (await inner("ls", "--name", "wrong")).output,
        /^No keys are alive in the namespace "wrong"/,
      );
      const waited = await inner("wait", "wroker-7", "--timeout", "0");
      expectSame(waited.status, 3, waited.output);
      expectMatch(waited.output, /Did you mean worker-7\?/);
    },
  );

  await report.try("heartbit run takes its command with it when it is killed (SIGKILL)", async () => {
    const script = "console.log('pid ' + process.pid); setInterval(() => {}, 1000)";
    await using run = new Serving(consumer, [MAIN, "run", "k", "--", process.execPath, "-e", script], clean);
    const pid = Number((await run.says(/pid \d+/)).slice(4));
    run.ask("SIGKILL");
    await run.ended; // its streams are those of the command, and close with it
    expectSame(isRunning(pid), false);
  });

  await report.try("heartbit run as PID 1 of a container passes the status on", async () => {
    const args = [
      "--pid",
      "--fork",
      "--mount-proc",
      process.execPath,
      MAIN,
      "run",
      "k",
      "--",
      "sh",
      "-c",
      "sleep 0.1 & exit 5",
    ];
    const { status, output } = await consumer.run("unshare", args, clean);
    if (/unshare:|ENOENT/.test(output) || Number.isNaN(status)) throw new NotHere(output || "no unshare");
    expectSame(status, 5, output);
  });

  const asNobody = async (args: string[], env: NodeJS.ProcessEnv): Promise<Ended> => {
    if (process.getuid?.() !== 0) throw new NotHere("only root can be somebody else");
    await chmod(consumer.folder, 0o755);
    return consumer.run(process.execPath, [MAIN, ...args], { ...clean, HOME: "", ...env }, undefined, NOBODY);
  };

  await report.try(
    "a user without a home directory is given the options; with XDG_DATA_HOME it works",
    async () => {
      const without = await asNobody(["ls"], {}); // HOME is empty
      expectMatch(
        without.output,
        /There is no home directory to keep a store in: set --store, HEARTBIT_STORE or XDG_DATA_HOME/,
      );
      expectSame(without.status, 2);
      const data = join(consumer.folder, "data");
      await mkdir(data);
      await chmod(data, 0o777);
      const ls = [process.execPath, MAIN, "ls"];
      expectMatch((await asNobody(["run", "k", "--", ...ls], { XDG_DATA_HOME: data })).stdout, /^k /);
    },
  );

  await report.try("a read-only file system: ls works, and run says what cannot be written", async () => {
    const there = join(consumer.folder, "read-only");
    await mkdir(there);
    const script = `mount -t tmpfs -o ro tmpfs "$1" && shift && exec "$@"`;
    const readOnly = (...args: string[]): Promise<Ended> =>
      consumer.run("unshare", ["--mount", "sh", "-c", script, "sh", there, process.execPath, MAIN, ...args], {
        ...clean,
        XDG_DATA_HOME: there,
      });
    const ls = await readOnly("ls");
    if (/unshare:|mount:|ENOENT/.test(ls.output) || Number.isNaN(ls.status))
      throw new NotHere(ls.output || "no unshare");
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

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // One whose end nobody has asked for has ended.
    return process.platform !== "linux" || !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
