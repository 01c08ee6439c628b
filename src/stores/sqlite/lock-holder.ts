/** Finds the process that holds the lock for writing, if the system shows it (Linux). */
import { readFile } from "node:fs/promises";

/** SQLite's lock for writing in WAL mode: this byte of the file `-shm`. */
const WRITE_LOCK_BYTE = 120;

export interface LockHolder {
  /** Its process id, as this process sees it. */
  readonly pid: number;
  /** Its command. */
  readonly name: string;
  /** Whether a signal or a debugger has stopped it. */
  readonly isStopped: boolean;
}

/** Undefined if nobody holds it, or if that cannot be known: on another system, or from another container. */
export async function findLockHolder(shmInode: bigint): Promise<LockHolder | undefined> {
  try {
    for (const line of (await readFile("/proc/locks", "utf8")).split("\n")) {
      // "1: POSIX  ADVISORY  WRITE 4711 08:01:262402 120 120"
      const found = /POSIX\s+\S+\s+WRITE\s+(\d+)\s+[^:]+:[^:]+:(\d+)\s+(\d+)\s+(\d+)/.exec(line);
      if (found === null || line.includes("->")) continue;
      const [pid = 0, , first = 0, last = 0] = found.slice(1).map(Number);
      if (found[2] !== String(shmInode) || first > WRITE_LOCK_BYTE || last < WRITE_LOCK_BYTE || pid === 0)
        continue;
      const stat = await readFile(`/proc/${pid}/stat`, "utf8");
      const [, name = "", state = ""] = /^\d+ \((.*)\) (\S)/s.exec(stat) ?? [];
      return { pid, name, isStopped: /[tT]/.test(state) };
    }
  } catch {} // another system, or the process has ended meanwhile
  return undefined;
}

/** One clause that says which process has had the lock, and for how long. */
export function lockClause(holder: LockHolder | undefined, heldMs: number): string {
  const since = `for ${(heldMs / 1000).toFixed(1)} s`;
  if (holder === undefined) return `another process has held its lock ${since}`;
  const { pid, name, isStopped } = holder;
  return `process ${pid} (${name})${isStopped ? ", which is stopped," : ""} has held its lock ${since}`;
}
