/** What `bench` measures: pings, joins, and how soon joins, kills and crashes are noticed. */
import { once } from "node:events";
import type { Change } from "../../core/change.ts";
import { internalsOf } from "../../presence/internals.ts";
import type { Presence } from "../../presence/presence.ts";
import { Sleeper } from "../../lib/timers.ts";
import { systemClock } from "../../lib/system-clock.ts";
import { CommandError } from "../errors.ts";
import { Guardian } from "../guardian.ts";
import { type Quantiles, quantilesOf } from "./quantiles.ts";

export interface Measurement extends Quantiles {
  readonly what: "ping" | "join" | "notice of join" | "notice of kill" | "notice of crash";
  /** Per second, for operations that ran several at a time. */
  readonly perSecond?: number;
}

export interface Subject {
  /** Holds keys; another presence of the same namespace watches them. */
  readonly holder: Presence;
  readonly watcher: Presence;
  /** The environment with which a process of its own opens the namespace. */
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  /** Called with the progress. */
  readonly progress: (text: string) => void;
}

const PINGS = 500;
const PINGS_AT_A_TIME = 16;
const JOINS = 20;
const CRASHES = 4;

/** Yields each measurement when it is complete. Ends early, without an error, when the signal is aborted. */
export async function* measure(subject: Subject): AsyncGenerator<Measurement> {
  const { signal, progress } = subject;
  progress("pinging");
  yield await measurePings(subject);
  if (signal.aborted) return;
  progress("joining and killing");
  yield* await measureKeys(subject);
  if (signal.aborted) return;
  progress(`crashing ${CRASHES} processes, and waiting until they are reported dead`);
  yield await measureCrashes(subject);
}

/** Pings of unused session numbers in the current slot: each sets another bit. */
async function measurePings({ holder }: Subject): Promise<Measurement> {
  const { namespace, time, clock } = internalsOf(holder);
  const tookMs: number[] = [];
  let next = 1;
  const began = clock.monotonic();
  const ping = async (): Promise<void> => {
    while (next <= PINGS) {
      const start = clock.monotonic();
      await namespace.ping(time.slot, next++);
      tookMs.push(clock.monotonic() - start);
    }
  };
  await Promise.all(Array.from({ length: PINGS_AT_A_TIME }, ping));
  const perSecond = (PINGS * 1000) / (clock.monotonic() - began);
  return { what: "ping", ...quantilesOf(tookMs), perSecond };
}

async function measureKeys({ holder, watcher, signal }: Subject): Promise<Measurement[]> {
  const tookMs = { join: [] as number[], joined: [] as number[], killed: [] as number[] };
  const reported = new Reported(watcher);
  for (let index = 0; index < JOINS && !signal.aborted; index++) {
    const key = `key-${index}`;
    const pinger = holder.pinger(key);
    const began = systemClock.monotonic();
    await pinger.start();
    tookMs.join.push(systemClock.monotonic() - began);
    tookMs.joined.push((await reported.when(key, true)) - began);
    const killedAt = systemClock.monotonic();
    void pinger.kill();
    tookMs.killed.push((await reported.when(key, false)) - killedAt);
  }
  await reported.end();
  return [
    { what: "join", ...quantilesOf(tookMs.join) },
    { what: "notice of join", ...quantilesOf(tookMs.joined) },
    { what: "notice of kill", ...quantilesOf(tookMs.killed) },
  ];
}

/** Real processes, each killed at another part of the period. */
async function measureCrashes({ watcher, env, signal }: Subject): Promise<Measurement> {
  const reported = new Reported(watcher);
  const crashes = Array.from({ length: CRASHES }, (_, index) =>
    crash(`crash-${index}`, { reported, env, signal, afterMs: (index / CRASHES) * watcher.periodMs }),
  );
  try {
    return { what: "notice of crash", ...quantilesOf(await Promise.all(crashes)) };
  } finally {
    await reported.end();
  }
}

interface Crash {
  readonly reported: Reported;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly afterMs: number;
}

/** Starts a process that holds the key, lets it ping, and kills it. Returns how much later that was reported, in ms. */
async function crash(key: string, { reported, env, signal, afterMs }: Crash): Promise<number> {
  const [, main = ""] = process.argv;
  const guardian = new Guardian();
  const child = guardian.start(process.execPath, [main, "ping", key], { env });
  const ended = once(child, "exit").finally(() => guardian.release());
  const end = (): void => void child.kill("SIGKILL");
  signal.addEventListener("abort", end);
  try {
    let said = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (said += text));
    const failed = ended.then(() => {
      throw new CommandError(`A process that was to hold a key ended early: ${said.trim()}`);
    });
    await Promise.race([reported.when(key, true), failed]);
    await Promise.race([new Sleeper(systemClock).sleep(afterMs), failed]);
    const killedAt = systemClock.monotonic();
    failed.catch(() => {}); // from now on the end is intended
    end();
    return (await reported.when(key, false)) - killedAt;
  } finally {
    signal.removeEventListener("abort", end);
    end();
  }
}

/** When each change was reported: monotonic times, in ms. */
class Reported {
  readonly #states = new Map<string, { readonly alive: boolean; readonly at: number }>();
  readonly #watcher: ReturnType<Presence["watcher"]>;
  readonly #waiting = new Set<() => void>();

  constructor(presence: Presence) {
    this.#watcher = presence.watcher();
    this.#watcher.watch({ all: true }, ({ key, alive }: Change) => {
      this.#states.set(key, { alive, at: systemClock.monotonic() });
      for (const look of this.#waiting) look();
    });
  }

  /** Resolves when the key is reported alive, or dead. Rejects if the watcher has failed or was stopped. */
  when(key: string, alive: boolean): Promise<number> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const state = this.#states.get(key);
        if (state?.alive !== alive) return;
        this.#waiting.delete(look);
        resolve(state.at);
      };
      this.#waiting.add(look);
      look();
      void this.#watcher.dead.then(() => reject(this.#watcher.error ?? new CommandError("Interrupted.")));
    });
  }

  end(): Promise<void> {
    return this.#watcher.stop();
  }
}
