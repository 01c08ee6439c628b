/** What the judges know of what truly happened. */
import type { Plan } from "./plan.ts";
import { calmFor, type Holding, type Life } from "./truth.ts";

/**
 * A step of the store's clock is over after so many periods: forth, and back. Back it takes those who only hold up to four
 * slots to learn that the slots were moved on, and so long deaths are held back.
 */
const STEP_FORTH = 1.6;
const STEP_BACK = 8.6;

export interface TrueWorld {
  readonly now: number;
  after(ms: number, act: () => void): unknown;
}

export class Facts {
  readonly periodMs: number;
  readonly retentionSlots: number;
  readonly world: TrueWorld;
  readonly holdings = new Map<string, Holding[]>();
  readonly lives: Life[] = [];
  readonly kills: { readonly key: string; readonly at: number }[] = [];
  readonly steps: { readonly at: number; readonly ms: number }[] = [];
  readonly losses: number[] = [];

  constructor({ periodMs, retentionSlots }: Plan, world: TrueWorld) {
    this.periodMs = periodMs;
    this.retentionSlots = retentionSlots;
    this.world = world;
  }

  get now(): number {
    return this.world.now;
  }

  born(life: Life): void {
    this.lives.push(life);
  }

  held(holding: Holding): void {
    const others = this.holdings.get(holding.key);
    if (others === undefined) this.holdings.set(holding.key, [holding]);
    else others.push(holding);
  }

  killed(key: string): void {
    this.kills.push({ key, at: this.now });
  }

  stepped(ms: number): void {
    this.steps.push({ at: this.now, ms });
  }

  /** Somebody has destroyed records. */
  destroyed(restoredWithin: number): void {
    this.losses.push(this.now);
    for (const life of this.lives) {
      const before = life.loss?.restoredWithin ?? 0; // not restored yet
      life.loss = { at: this.now, restoredWithin: Math.max(restoredWithin, before) };
    }
  }

  /** Whether its records may have been destroyed, and it has not had the time since to write them again. */
  isRestoring(life: Life): boolean {
    const { loss } = life;
    if (loss === undefined) return false;
    const { at, restoredWithin } = loss;
    if (this.now - at >= restoredWithin * this.periodMs && this.isCalm(life, restoredWithin))
      life.loss = undefined;
    return life.loss !== undefined;
  }

  /**
   * A process is back that was away since a true time: it may notice only now that the store's clock has stepped. That
   * takes a period where nothing hinders it, and twice as long where a call was slow that began before.
   */
  resumed(awaySince: number): void {
    const slept = this.steps.filter(({ at }) => at >= awaySince - 2 * this.periodMs);
    // Of several the furthest back: it takes the longest.
    if (slept.length > 0) this.steps.push({ at: this.now, ms: Math.min(...slept.map(({ ms }) => ms)) });
  }

  /** Whether the life has had no trouble, nor the store's clock a step, for so many periods. */
  isCalm(life: Life, periods: number): boolean {
    const { now } = this;
    const stepping = this.steps.some(
      ({ at, ms }) => now - at < this.periodMs * ((ms > 0 ? STEP_FORTH : STEP_BACK) + periods),
    );
    return !stepping && calmFor(life, now) >= this.periodMs * periods;
  }

  stepsSince(time: number): boolean {
    return this.steps.some(({ at }) => at >= time);
  }
}
