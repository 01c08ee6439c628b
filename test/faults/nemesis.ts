/**
 * The nemesis: rounds of a storm, in which faults come at random and overlap, and a calm, in which some processes crash
 * and some keys are killed and started again, so that what is promised for calm times shows.
 */
import { setTimeout as after } from "node:timers/promises";
import type { Note } from "./fleet.ts";
import { KINDS } from "./kinds.ts";
import { now } from "./log.ts";
import type { Kind, Scene } from "./scene.ts";

/** In periods. */
const STORM = 7;
const CALM = 8;
/** When in the calm some crash: late enough that all have noticed that it is calm, early enough to be told in it. */
const CALM_EVENTS = { from: 3, to: 5 };
const CRASHES_IN_CALM = 2;
/** A call that takes longer than this part of a period makes watchers suspicious, if it is theirs. */
const SLOW = 0.05;

/** How many rounds there are in so many minutes. */
export function roundsIn(minutes: number, periodMs: number): number {
  return Math.max(1, Math.floor((minutes * 60_000) / ((STORM + CALM) * periodMs)));
}

export class Nemesis {
  readonly #scene: Scene;
  readonly #note: Note;
  readonly #kinds: readonly Kind[];
  readonly #taken = new Set<string>();
  #isServerDown = false;
  #count = 0;

  /** `only`: of the faults whose names it matches. */
  constructor(scene: Scene, note: Note, only: RegExp) {
    this.#scene = scene;
    this.#note = note;
    this.#kinds = KINDS.filter((kind) => {
      const why = only.test(kind.kind) ? kind.unfit?.(scene) : "left out by --only";
      if (why !== undefined) note({ e: "not applied", kind: kind.kind, why });
      return why === undefined;
    });
    if (this.#kinds.length === 0) throw new Error(`There is no fault like ${only} that can be done here.`);
  }

  async run(rounds: number, faults: number, say: (line: string) => void): Promise<void> {
    const over = new AbortController();
    const watched = this.#watchMachine(over.signal);
    try {
      for (let round = 0; round < rounds; round++) {
        const left = faults - this.#count;
        const perStorm = Math.ceil(left / (rounds - round)) - CRASHES_IN_CALM;
        const lasting = await this.#storm(Math.max(perStorm, 1));
        await this.#calm(lasting);
        if (round % 5 === 4 || round === rounds - 1) {
          const running = this.#scene.fleet.filter(({ isRunning }) => isRunning).length;
          say(`round ${round + 1} of ${rounds}: ${this.#count} faults, ${running} processes run`);
        }
      }
    } finally {
      over.abort();
      await watched;
    }
  }

  /** Notes when the store, or this machine, is slow by itself: that is a reason for a suspicion like any other. */
  async #watchMachine(over: AbortSignal): Promise<void> {
    const { periodMs } = this.#scene;
    const pauseMs = periodMs / 10;
    const watch = async (what: string, act: () => Promise<unknown>): Promise<void> => {
      while (!over.aborted) {
        const from = now();
        await act().catch(() => {}); // it is away, which is a fault that is noted
        await after(pauseMs);
        if (now() - from > pauseMs + periodMs * SLOW) this.#note({ e: "busy", from, what });
      }
    };
    await Promise.all([
      watch("this machine is slow", () => Promise.resolve()),
      watch("the store is slow", () => this.#scene.probe()),
    ]);
  }

  /** Gives what lasts longer: what hits some only. */
  async #storm(faults: number): Promise<Promise<void>[]> {
    const { random, periodMs } = this.#scene;
    const end = now() + STORM * periodMs;
    const begins = Array.from({ length: faults }, () => random.between(0, STORM - 0.5));
    const [shared, lasting]: [Promise<void>[], Promise<void>[]] = [[], []];
    for (const begin of begins.toSorted((a, b) => a - b)) {
      await until(end - (STORM - begin) * periodMs);
      const kind = this.#draw();
      if (kind === undefined) continue;
      // What hits all ends with the storm.
      const most = (end - now()) / periodMs + (kind.exclusive === undefined ? 2 : 0);
      const lasts = Math.min(draw(random, kind.lasts), Math.max(most, 0.05));
      (kind.exclusive === undefined ? lasting : shared).push(this.#inflict(kind, lasts * periodMs));
      if (random.chance(0.2)) this.#churn();
    }
    await until(end);
    await Promise.all(shared);
    return lasting;
  }

  async #calm(lasting: readonly Promise<void>[]): Promise<void> {
    const { random, periodMs, fleet } = this.#scene;
    const begin = now();
    const crash = this.#kinds.find(({ kind }) => kind === "process killed with -9");
    const { from, to } = CALM_EVENTS;
    const moments = Array.from({ length: CRASHES_IN_CALM }, () => random.between(from, to));
    const under = [...lasting];
    for (const moment of moments.toSorted((a, b) => a - b)) {
      await until(begin + moment * periodMs);
      this.#churn();
      if (crash !== undefined) under.push(this.#inflict(crash, random.between(0.05, 4) * periodMs));
    }
    await until(begin + (CALM - 0.5) * periodMs);
    await this.#scene.count().then(
      (counts) => this.#note({ e: "counts", ...counts }),
      (error: unknown) => this.#note({ e: "not applied", kind: "count", why: String(error) }),
    );
    await until(begin + CALM * periodMs);
    await Promise.all(under);
    // Who was closed, or has not come back.
    for (const member of fleet) member.start();
  }

  /** Undefined while none can begin beside those that are under way. */
  #draw(): Kind | undefined {
    const fit = this.#kinds.filter(({ exclusive = "", asksServer = false }) => {
      return !this.#taken.has(exclusive) && !(asksServer && this.#isServerDown);
    });
    let left = this.#scene.random.next() * fit.reduce((sum, { weight }) => sum + weight, 0);
    return fit.find(({ weight }) => (left -= weight) < 0) ?? fit.at(-1);
  }

  /** Does it, and heals it after a while. */
  async #inflict(kind: Kind, lastsMs: number): Promise<void> {
    const id = ++this.#count;
    const { exclusive } = kind;
    if (exclusive !== undefined) this.#taken.add(exclusive);
    this.#isServerDown ||= exclusive === "server";
    const from = now();
    let done = false;
    try {
      const { heal, who = "all", ...what } = await kind.apply(this.#scene, lastsMs);
      done = true;
      this.#note({ e: "fault", id, kind: kind.kind, from, who, ...what });
      await until(from + lastsMs);
      await heal?.();
      this.#note({ e: "healed", id });
    } catch (error) {
      if (!done) this.#count--;
      const failed = done ? `the end of ${kind.kind}` : kind.kind;
      this.#note({ e: "not applied", kind: failed, why: String(error) });
    } finally {
      if (exclusive !== undefined) this.#taken.delete(exclusive);
      if (exclusive === "server") this.#isServerDown = false;
    }
  }

  /** What programs do. */
  #churn(): void {
    const { random, fleet, periodMs } = this.#scene;
    const running = fleet.filter(({ isRunning, isPaused }) => isRunning && !isPaused);
    if (running.length === 0) return;
    const [member, other] = [random.pick(running), random.pick(running)];
    const chance = random.next();
    const backMs = periodMs * random.between(0, 4);
    if (chance < 0.6) {
      member.tell({ do: "restart", key: random.whole(0, 1), how: random.pick(["kill", "stop"]), backMs });
    } else if (chance < 0.8) {
      const key = random.pick(other.settings.keys);
      if (key !== undefined) member.tell({ do: "kill other", key });
    } else member.close(random.chance(0.5));
  }
}

function draw(random: Scene["random"], most: number): number {
  if (most === 0) return 0;
  return random.chance(0.3) ? random.between(0.02, 0.5) : random.between(0.05, most);
}

async function until(time: number): Promise<void> {
  const left = time - now();
  if (left > 0) await after(left);
}
