/**
 * Ends the command of `run`, or a process of `bench`, if heartbit itself is killed. Otherwise a command would go on
 * without its key, beside the one that is started in its place. The guardian is a shell that reads from a pipe. Only
 * heartbit holds the other end, and the system closes it when heartbit ends, in whatever way.
 */
import { type ChildProcess, spawn, type SpawnOptions, type StdioOptions } from "node:child_process";

/**
 * Each line is the command's process id, negative for its process group, or empty while there is none. The end of the
 * pipe ends that process or group.
 */
const SCRIPT = `pid=
while read -r line; do pid=$line; done
[ -n "$pid" ] && kill -s TERM -- "$pid" || exit 0
for try in 1 2 3 4 5 6 7 8 9 10; do kill -s 0 -- "$pid" || exit 0; sleep 0.1; done
kill -s KILL -- "$pid"`;

/** Reports the process id to the guardian, and becomes the program, which keeps the id. */
const BECOME = 'echo $$ >&3; exec "$@" 3>&-';

export class Guardian {
  /** Undefined where there is none. */
  readonly shell: ChildProcess | undefined;

  constructor() {
    if (process.platform === "win32") return; // there is no shell for it
    // In a session of its own, so that what a terminal sends to end the command does not end it.
    const shell = spawn("/bin/sh", ["-c", SCRIPT], {
      stdio: ["pipe", "ignore", "ignore"],
      detached: true,
      cwd: "/",
    });
    shell.on("error", () => {}); // no shell here: the command outlives a heartbit that is killed
    shell.stdin.on("error", () => {});
    shell.unref();
    this.shell = shell;
  }

  /** Starts a program that ends with heartbit from its first moment, even if heartbit is killed before this returns. */
  start(program: string, args: readonly string[], options: Omit<SpawnOptions, "stdio">): ChildProcess {
    const { pid, stdin } = this.shell ?? {};
    if (pid === undefined || !stdin)
      return spawn(program, args, { ...options, stdio: ["ignore", "ignore", "pipe"] });
    const stdio: StdioOptions = ["ignore", "ignore", "pipe", stdin];
    return spawn("/bin/sh", ["-c", BECOME, "sh", program, ...args], { ...options, stdio });
  }

  /** From now on the process, or the group of a negative number, ends with heartbit, until `release`. */
  guard(pid: number | undefined): void {
    if (pid !== undefined) this.shell?.stdin?.write(`${pid}\n`);
  }

  /** The process has ended: its number may become another's. */
  release(): void {
    this.shell?.stdin?.write("\n");
  }
}
