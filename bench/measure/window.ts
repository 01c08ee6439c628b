/** What one stretch of work cost: the server and this process. */
import { cpuBetween, ownCpuMs, sampleCpu } from "./cpu.ts";
import { clockMs } from "./time.ts";

export interface Cost {
  /** The server's processor time, in ms; NaN where its process is not on this machine. */
  readonly serverMs: number;
  /** This process's processor time, in ms. */
  readonly clientMs: number;
  readonly wallMs: number;
}

/** What `work` costs the server with this process id, and us. */
export async function costOf(pid: number | undefined, work: () => unknown): Promise<Cost> {
  const began = clockMs();
  const client = ownCpuMs();
  const server = pid === undefined ? undefined : sampleCpu(pid);
  await work();
  return {
    serverMs: server === undefined || pid === undefined ? NaN : cpuBetween(server, sampleCpu(pid)),
    clientMs: ownCpuMs() - client,
    wallMs: clockMs() - began,
  };
}

/** Divides what many did by how many they were. */
export function perOne({ serverMs, clientMs, wallMs }: Cost, count: number): Cost {
  return { serverMs: serverMs / count, clientMs: clientMs / count, wallMs: wallMs / count };
}
