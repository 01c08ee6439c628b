/**
 * Chaos: many presences on a manual clock and one memory store, each behind a link of its own. The store has outages
 * (failing, frozen, slow), from which each process comes back a little later than the others, less than the rule
 * forgives; only where outages follow each other closely one may be away for longer. Processes crash.
 * A log is kept of what truly happened and of what each watcher told, and the two are compared.
 */
import type { Clock } from "../../src/index.ts";
import { type Change, Presence } from "../../src/index.ts";
import { FaultyStore, ManualClock, MemoryStore } from "../../src/testing/index.ts";
import { Random } from "./random.ts";

export interface ChaosOptions {
  readonly seed: number;
  readonly holders: number;
  readonly watchers: number;
  /** How long it goes on, in periods; then eight quiet periods follow. */
  readonly periods: number;
  readonly outages: number;
  readonly crashes: number;
  readonly periodMs?: number;
  readonly feed?: "auto" | "poll";
}

export interface ChaosResult {
  /** Deaths told of processes that lived, as sentences. */
  readonly falseDeaths: readonly string[];
  readonly missed: readonly string[];
  readonly late: readonly string[];
  readonly toldTwice: readonly string[];
  /** From the crash to its telling, in periods: of crashes with no outage near. */
  readonly latencies: readonly number[];
}

interface Process {
  readonly key: string;
  readonly link: FaultyStore;
  readonly presence: Presence;
  crashed: number | undefined;
  /** The outages that it is in: they may overlap. */
  readonly outages: (() => void)[];
  /** When it was in one or more, in periods. */
  readonly away: Span[];
}

interface Span {
  readonly from: number;
  to: number;
}

/** After trouble, in periods, in which the rule forgives whoever comes back later. */
const FORGIVEN = 0.9;
/** Between two outages, in periods: in less time a ping that is under way is not given up and repeated. */
const GAP = 0.5;

export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { seed, periods, periodMs = 5000 } = options;
  const random = new Random(seed);
  const manual = new ManualClock();
  const clock: Clock = {
    now: () => manual.now(),
    monotonic: () => manual.monotonic(),
    setTimer: (callback, ms) => manual.setTimer(callback, ms),
    random: () => random.next(),
  };
  const store = new MemoryStore({ clock });
  const start = manual.now();
  const periodsNow = (): number => (manual.now() - start) / periodMs;
  const open = async (key: string): Promise<Process> => {
    const link = new FaultyStore(store);
    const presence = await Presence.open(link, { periodMs, clock, feed: options.feed ?? "auto" });
    return { key, link, presence, crashed: undefined, outages: [], away: [] };
  };

  const told: { watcher: number; change: Change; at: number }[] = [];
  const watchers: Process[] = [];
  const holders: Process[] = [];
  for (let i = 0; i < options.watchers; i++) {
    const process = await open(`watcher-${i}`);
    watchers.push(process);
    process.presence.watcher().watch({ all: true }, (change) => {
      told.push({ watcher: i, change, at: periodsNow() });
    });
  }
  for (let i = 0; i < options.holders; i++) {
    const process = await open(`key-${i}`);
    holders.push(process);
    await process.presence.pinger(process.key).start();
    if (options.holders <= 50) await manual.advance(random.between(0, periodMs / 4));
  }
  await manual.advance(periodMs * 4);

  // What will happen, in order.
  const events: { at: number; act: () => void }[] = [];
  const outages: { from: number; to: number }[] = [];
  const now = periodsNow();
  for (let i = 0; i < options.outages; i++) {
    const from = now + random.between(0, periods);
    const lasts = random.chance(0.3) ? random.between(0.02, 1) : random.between(0.2, 6);
    outages.push({ from, to: from + lasts + FORGIVEN });
    const kind = random.pick(["fail", "pause", "slow"] as const);
    const slowMs = random.between(0.1, 1.5) * periodMs;
    for (const process of [...holders, ...watchers]) {
      const { link } = process;
      const strike = (): void => {
        if (kind === "fail") link.fail();
        else if (kind === "pause") link.pause();
        else link.delay(slowMs);
      };
      const begin = (): void => {
        if (process.crashed !== undefined) return;
        const latest = process.away.at(-1);
        if (process.outages.length === 0 && (latest === undefined || periodsNow() - latest.to > GAP)) {
          process.away.push({ from: periodsNow(), to: Infinity });
        } else if (latest !== undefined) latest.to = Infinity;
        process.outages.push(strike);
        strike();
      };
      const end = (): void => {
        if (process.crashed !== undefined) return;
        process.outages.splice(process.outages.indexOf(strike), 1);
        link.heal();
        for (const other of process.outages) other();
        const latest = process.away.at(-1);
        if (process.outages.length === 0 && latest !== undefined) latest.to = periodsNow();
      };
      events.push({ at: from, act: begin }, { at: from + lasts + random.between(0, FORGIVEN), act: end });
    }
  }
  const crashing = [...holders];
  for (let i = 0; i < options.crashes && crashing.length > 0; i++) {
    const [process] = crashing.splice(Math.floor(random.next() * crashing.length), 1);
    if (process === undefined) break;
    const act = (): void => {
      process.crashed = periodsNow();
      process.link.pause(); // for ever: nothing of it reaches the store any more
      void process.presence.close();
    };
    events.push({ at: now + random.between(0, periods), act });
  }
  events.sort((a, b) => a.at - b.at);
  for (const { at, act } of events) {
    await manual.advance(Math.max(0, at - periodsNow()) * periodMs);
    act();
  }
  await manual.advance(periodMs * 8 + Math.max(0, ...outages.map(({ to }) => to - periodsNow())) * periodMs);

  const result = judge();
  for (const { presence, link } of [...holders, ...watchers]) {
    link.heal();
    void presence.close();
  }
  await manual.advance(periodMs * 2);
  return result;

  function judge(): ChaosResult {
    const falseDeaths: string[] = [];
    const missed: string[] = [];
    const late: string[] = [];
    const toldTwice: string[] = [];
    const latencies: number[] = [];
    const stories = new Map<string, typeof told>();
    for (const one of told) {
      const name = `${one.watcher} ${one.change.key}`;
      const story = stories.get(name);
      if (story === undefined) stories.set(name, [one]);
      else story.push(one);
    }
    for (const [index, watcher] of watchers.entries()) {
      for (const process of holders) {
        const { key, crashed } = process;
        const story = stories.get(`${index} ${key}`) ?? [];
        let alive = false;
        for (const { change, at } of story) {
          if (change.alive === alive && change.cause !== "updated")
            toldTwice.push(`${key} ${change.cause} at ${at}`);
          alive = change.alive;
          const lives = crashed === undefined || at < crashed;
          if (!change.alive && lives && !wasAwayForLonger(process, watcher, at)) {
            falseDeaths.push(`watcher ${index}: ${key} ${change.cause} at ${at.toFixed(3)}`);
          }
        }
        if (crashed === undefined) {
          if (!alive) missed.push(`watcher ${index}: ${key} lives and is not alive`);
          continue;
        }
        const death = story.findLast(({ change }) => !change.alive);
        if (alive || death === undefined) {
          missed.push(`watcher ${index}: ${key} crashed at ${crashed.toFixed(3)}`);
          continue;
        }
        // Near an outage the bound holds for the time without trouble alone.
        if (outages.some(({ from, to }) => crashed > from - 4 && crashed < to + 4)) continue;
        const latency = death.at - crashed;
        latencies.push(latency);
        if (latency > 2.5 || latency < 1.1)
          late.push(`watcher ${index}: ${key} after ${latency.toFixed(3)} periods`);
      }
    }
    return { falseDeaths, missed, late, toldTwice, latencies };
  }
}

/** Whether the process was away, up to a little before, for longer after the watcher than the rule forgives. */
function wasAwayForLonger(process: Process, watcher: Process, at: number): boolean {
  return process.away.some(
    ({ from, to }) =>
      from < at &&
      to > at - 2 &&
      watcher.away.some((own) => own.from < to && own.to > from && to - own.to > FORGIVEN),
  );
}
