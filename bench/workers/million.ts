/** A process with one watcher of all keys, which measures itself: loading, memory, quiet periods, many deaths at once. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Presence, type Watcher } from "../../src/index.ts";
import { ownCpuMs } from "../measure/cpu.ts";
import { peakMb } from "../measure/process.ts";
import { clockMs, until, wait } from "../measure/time.ts";

export interface Target {
  readonly uri: string;
  readonly name: string;
  readonly periodMs: number;
}

export type ToMillion =
  | { readonly kind: "load"; readonly target: Target; readonly keys: number }
  | { readonly kind: "quiet"; readonly periods: number }
  | { readonly kind: "deaths"; readonly count: number };

export interface Loaded {
  readonly keys: number;
  readonly ms: number;
  readonly cpuMs: number;
  readonly bytesAKey: number;
  /** The greatest resident memory of the process. */
  readonly peakMb: number;
  readonly blockMs: number;
}

export interface Quiet {
  readonly cpuMsAPeriod: number;
  readonly blockMs: number;
}

export interface Deaths {
  /** From the first that was told to the last. */
  readonly ms: number;
  readonly cpuMs: number;
  readonly blockMs: number;
}

const DEATHS_LIMIT_MS = 120_000;

let presence: Presence;
let watcher: Watcher;
let periodMs = 0;
let alive = 0;
let dead = 0;
let firstDeathMs = 0;
let lastDeathMs = 0;

process.on("message", (message: ToMillion) => {
  void answer(message).then((result) => process.send?.(result));
});
process.once("disconnect", () => void presence.close().then(() => process.exit()));

function answer(message: ToMillion): Promise<Loaded | Quiet | Deaths> {
  if (message.kind === "load") return load(message.target, message.keys);
  if (message.kind === "quiet") return quiet(message.periods);
  return deaths(message.count);
}

async function load({ uri, name, periodMs: period }: Target, keys: number): Promise<Loaded> {
  periodMs = period;
  presence = await Presence.open(uri, { name, periodMs });
  watcher = presence.watcher();
  await watcher.alive("nobody"); // opens the session and the feed
  const bytes = memoryUsed();
  const cpu = ownCpuMs();
  const began = clockMs();
  let ms = 0;
  const blockMs = await longestBlock(async () => {
    await new Promise<void>((resolve) => {
      watcher.watch({ all: true }, (change) => {
        if (!change.alive) died();
        else if (++alive === keys) resolve();
      });
    });
    ms = clockMs() - began;
  });
  const cpuMs = ownCpuMs() - cpu;
  const peak = peakMb(process.pid);
  return { keys: alive, ms, cpuMs, bytesAKey: (memoryUsed() - bytes) / alive, peakMb: peak, blockMs };
}

/** One after the other: to look at the event loop each millisecond costs more than all else. */
async function quiet(periods: number): Promise<Quiet> {
  const cpu = ownCpuMs();
  await wait(periods * periodMs);
  const cpuMsAPeriod = (ownCpuMs() - cpu) / periods;
  return { cpuMsAPeriod, blockMs: await longestBlock(() => wait(periods * periodMs)) };
}

async function deaths(count: number): Promise<Deaths> {
  dead = 0;
  const cpu = ownCpuMs();
  const blockMs = await longestBlock(() => until(() => dead >= count, `${count} deaths`, DEATHS_LIMIT_MS));
  return { ms: lastDeathMs - firstDeathMs, cpuMs: ownCpuMs() - cpu, blockMs };
}

function died(): void {
  lastDeathMs = clockMs();
  if (dead++ === 0) firstDeathMs = lastDeathMs;
}

/** How long the event loop was busy at the longest, in ms, with what else the machine did in that time. */
async function longestBlock(work: () => Promise<void>): Promise<number> {
  const delays = monitorEventLoopDelay({ resolution: 1 });
  delays.enable();
  await work();
  delays.disable();
  return delays.max / 1e6;
}

function memoryUsed(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
