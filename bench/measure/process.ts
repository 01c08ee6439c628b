/** What a process takes of its machine, by Linux's /proc. */
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";

/** The greatest resident memory from now on counts. Only the owner of the process and root may say so. */
export function resetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

/** The greatest resident memory, in MB. */
export function peakMb(pid: number): number {
  const [, kb] = /VmHWM:\s*(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return (Number(kb) * 1024) / 1e6;
}

/** How many sockets it has open. */
export function socketsOf(pid: number): number {
  let count = 0;
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      if (readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith("socket:")) count++;
    } catch {
      // It was closed since it was listed.
    }
  }
  return count;
}
