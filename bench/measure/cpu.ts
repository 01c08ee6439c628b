/** How long processes have kept processors busy, by Linux's /proc: not how long they have taken. */
import { readdirSync, readFileSync } from "node:fs";

/** `utime` and `stime` of /proc/PID/stat count in these, in ms. */
const TICK_MS = 10;

/** What a process had used at one moment. */
export interface CpuSample {
  /** In ms, to a hundredth of a second; with what its ended threads had used. */
  readonly ticksMs: number;
  /** By thread, in ns. */
  readonly threads: ReadonlyMap<string, number>;
}

export function sampleCpu(pid: number): CpuSample {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = Number(fields[11]) + Number(fields[12]);
  const threads = new Map<string, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      threads.set(thread, threadNs(pid, thread));
    } catch {
      // It has ended since it was listed.
    }
  }
  return { ticksMs: ticks * TICK_MS, threads };
}

function threadNs(pid: number, thread: string): number {
  return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
}

/** The ms of processor time that the main thread of this process has used: only that blocks its event loop. */
export function mainThreadMs(): number {
  return threadNs(process.pid, String(process.pid)) / 1e6;
}

/** The ms of processor time between two samples: exact, unless a thread has ended in between. */
export function cpuBetween(before: CpuSample, after: CpuSample): number {
  let ns = 0;
  for (const [thread, used] of after.threads) ns += used - (before.threads.get(thread) ?? 0);
  for (const thread of before.threads.keys()) {
    if (!after.threads.has(thread)) return after.ticksMs - before.ticksMs;
  }
  return ns / 1e6;
}

/** The ms of processor time that this process has used. */
export function ownCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
