/**
 * What happens to a presence, and what is done then.
 *
 *   the store is lost                      trouble
 *   the store is found again               what has failed is tried at once; what was acknowledged may have been lost with
 *                                          the server: the set-up is written again, and what is held is doubted
 *   the store's clock has stepped          trouble; the offset is read; the present is another slot
 *   the slots were moved on after a step   trouble, until all have heard of it; the present is another slot
 *   the present is another slot            it is pinged, what is held is doubted, and all is read anew
 *   a ping was acknowledged                the session's record is kept young; what no observer reads, or is doubted still, is
 *                                          looked at; the dead are pruned now and then
 *   a ping ended a lapse                   what is held is doubted, and written again
 *   the namespace is gone, or another's    the session is forgotten, the pingers are killed, and the watchers fail
 */
import { type HeartbitError, isHeartbitError } from "../core/errors.ts";
import type { Slot } from "../core/slots.ts";
import type { StoreNotice } from "../core/store.ts";
import type { Heart } from "./holding/heartbeat.ts";
import type { Holdings } from "./holding/registrations.ts";
import type { Observer } from "./watching/observer.ts";
import type { Pinger } from "./pinger.ts";
import { Broom, pruneInTurn } from "./context/pruning.ts";
import { AUDIT_SLOTS, type SessionKeeper } from "./holding/session.ts";
import type { Setup } from "./context/config.ts";
import type { Shared } from "./context/context.ts";
import type { Watcher } from "./watcher.ts";

/** The parts of a presence that something is done with. */
export interface RecoveryParts {
  readonly shared: Shared;
  readonly setup: Setup;
  readonly session: SessionKeeper;
  readonly holdings: Holdings;
  readonly pingers: ReadonlySet<Pinger>;
  readonly watchers: ReadonlySet<Watcher>;
  readonly heart: () => Heart | undefined;
  readonly stopHeart: () => void;
  readonly observer: () => Observer | undefined;
  /** Tries for a while what is done once. */
  readonly attempt: <T>(act: () => Promise<T>) => Promise<T>;
}

export class Recovery {
  readonly #parts: RecoveryParts;
  readonly #shared: Shared;
  readonly #broom: Broom;
  #isStoreLost = false;
  #losses = 0;

  constructor(parts: RecoveryParts) {
    this.#parts = parts;
    this.#shared = parts.shared;
    this.#broom = new Broom(parts.shared);
  }

  /** How many times the namespace was lost. */
  get losses(): number {
    return this.#losses;
  }

  /** The store says something by itself. */
  notice(notice: StoreNotice): void {
    const { time, health } = this.#shared;
    if (notice.kind === "time") void time.observe(notice.ms);
    else if (notice.kind === "lost") {
      this.#isStoreLost = true;
      health.trouble(notice.reason);
    } else if (this.#isStoreLost) {
      this.#isStoreLost = false;
      this.#found();
    }
  }

  #found(): void {
    const { time, log } = this.#shared;
    log.info("the store is found again");
    time.sample().then(
      () => this.#settleIdle(),
      (error: unknown) => log.debug("sampling the time failed", error),
    );
    this.#parts.heart()?.hurry();
    this.#parts.session.hurry();
    this.#parts.observer()?.hurry();
    this.#restore().catch((error: unknown) => log.warn("what was held could not be restored", error));
  }

  /** Who neither pings nor reads by himself would be stale for ever: nothing of what he does next is late. */
  #settleIdle(): void {
    const { heart, observer } = this.#parts;
    if (heart() === undefined && observer() === undefined) this.#shared.health.settle();
  }

  async #restore(): Promise<void> {
    const { setup, holdings, attempt } = this.#parts;
    try {
      await attempt(() => setup.restore());
    } finally {
      holdings.doubt();
    }
  }

  /** The store's clock has stepped. */
  stepped(byMs: number): void {
    const { health, time, log } = this.#shared;
    health.trouble(`the store's clock stepped by ${Math.round(byMs)} ms`);
    time.catchUp().then(
      () => this.#settleIdle(),
      (error: unknown) => log.debug("reading the offset failed", error),
    );
    this.#moveOn();
  }

  /** Who has not heard of it yet pings in slots that lie behind: who only holds reads the offset every few slots. */
  raised(): void {
    this.#shared.health.trouble(
      "the store's clock has stepped back, and the slots were moved on",
      AUDIT_SLOTS,
    );
    this.#moveOn();
  }

  /** The present is another slot. What is held may look old now, and whoever noticed first may have pruned it. */
  #moveOn(): void {
    this.#parts.heart()?.hurry();
    this.#parts.holdings.doubt();
    this.#parts.observer()?.resync();
  }

  /** A ping of `slot` was acknowledged; `lapsed`: the first after a lapse. */
  pinged(slot: Slot, lapsed: boolean): void {
    const { time, health, retentionSlots, log } = this.#shared;
    const { session, holdings, attempt } = this.#parts;
    void time.check();
    if (lapsed) holdings.doubt(true);
    session.refresh(retentionSlots / 2);
    // An observer settles when it has judged, and hears of what is held with what it reads.
    const isUnobserved = this.#parts.observer() === undefined;
    if (isUnobserved) health.settle();
    if (isUnobserved && session.isDoubtful)
      this.verify().catch((error: unknown) => log.debug("reading the config failed", error));
    if (!lapsed && (isUnobserved || holdings.isDoubtful)) void holdings.check();
    if (!this.#broom.isDue(slot, lapsed)) return;
    pruneInTurn(this.#shared, attempt).catch((error: unknown) =>
      log.debug(`pruning in slot ${slot} failed`, error),
    );
  }

  /** Rejects when the namespace is gone, or another's: then all is lost here. */
  async verify(): Promise<void> {
    try {
      await this.#parts.setup.check();
    } catch (error) {
      if (!isHeartbitError(error, "CONFIG_MISMATCH")) throw error;
      const pingers = [...this.#parts.pingers];
      this.lose(error, pingers);
      for (const pinger of pingers) pinger.tellKilled();
      throw error;
    }
  }

  /** The namespace is gone, or is another's: nothing of what these pingers held, or what was watched, can go on. */
  lose(error: HeartbitError, pingers: Iterable<Pinger>): void {
    this.#shared.health.trouble(error.message);
    this.#parts.stopHeart();
    this.#parts.holdings.forget(error);
    this.#losses++;
    for (const pinger of pingers) pinger.lose();
    this.failWatchers(error);
  }

  /** What the watchers are told from can never go on. */
  failWatchers(error: Error): void {
    this.#shared.log.error("watchers fail", error);
    for (const watcher of this.#parts.watchers) watcher.fail(error);
  }
}
