/** One memory store on a manual clock, with presences behind links of their own. */
import { type Change, type Clock, Presence, type PresenceOptions, type Watcher } from "../../src/index.ts";
import type { Namespace, Page, Store, StoreNotice } from "../../src/core/store.ts";
import { FaultyStore, ManualClock, MemoryStore } from "../../src/testing/index.ts";

export const PERIOD_MS = 5000;

export interface Client {
  readonly presence: Presence;
  readonly link: FaultyStore;
}

export class Bench {
  readonly clock = new ManualClock();
  readonly store = new MemoryStore({ clock: this.clock });
  readonly #start = this.clock.now();

  async open(options: PresenceOptions = {}): Promise<Client> {
    const link = new FaultyStore(this.store);
    return { link, presence: await Presence.open(link, { periodMs: PERIOD_MS, ...options }) };
  }

  /** Periods since the beginning, which is at the start of a slot. */
  get now(): number {
    return (this.clock.now() - this.#start) / PERIOD_MS;
  }

  async periods(count: number): Promise<void> {
    await this.clock.advance(count * PERIOD_MS);
  }
}

/** The clock, as if two looks at it took as long as a slice of work: what goes in slices has many turns. */
export function slicing(clock: ManualClock): Clock {
  let looks = 0;
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic() + (looks++ >> 1) * 5,
    setTimer: (due, delayMs) => clock.setTimer(due, delayMs),
  };
}

/** The store, with what its reads give seen through `see`, page by page. */
export function readThrough(store: Store, see: (page: Page) => Page): Store {
  return wrap(store, (namespace) => ({
    read: async function* (query) {
      for await (const page of namespace.read(query)) yield see(page);
    },
  }));
}

/** The store, with a feed that tells nothing while it is silent, and does not say so. */
export function silenceable(store: Store, isSilent: () => boolean): Store {
  return wrap(store, (namespace) => ({
    feed: (select, sink) => {
      const page = (told: Page): void => (isSilent() ? undefined : sink.page(told));
      return namespace.feed!(select, { page, lost: (error) => sink.lost(error) });
    },
  }));
}

/** The store, with some members of its namespaces in place of its own. */
export function wrap(store: Store, replace: (namespace: Namespace) => Partial<Namespace>): Store {
  return {
    kind: store.kind,
    ...(store.clock === undefined ? {} : { clock: store.clock }),
    namespace: (...args) => {
      const namespace = store.namespace(...args);
      const replaced = replace(namespace);
      return new Proxy(namespace, {
        get: (target, name) => {
          const member: unknown = Reflect.get(name in replaced ? replaced : target, name);
          return typeof member === "function" ? member.bind(target) : member;
        },
      });
    },
    close: () => store.close(),
  };
}

/** A presence of the store, and a way to tell it that its server was away and is back. */
export async function restartable(
  store: Store,
  options: PresenceOptions = {},
): Promise<{ presence: Presence; restart: () => void }> {
  let notify: ((notice: StoreNotice) => void) | undefined;
  const noticing = wrap(store, () => ({
    notices: (listener) => {
      notify = listener;
      return () => (notify = undefined);
    },
  }));
  const presence = await Presence.open(noticing, { periodMs: PERIOD_MS, ...options });
  const restart = (): void => {
    notify?.({ kind: "lost", reason: "It was killed." });
    notify?.({ kind: "found" });
  };
  return { presence, restart };
}

/** What a watcher tells of a target, as words. Resolves when it has told the present state. */
export async function hear(watcher: Watcher, target: Parameters<Watcher["watch"]>[0]): Promise<string[]> {
  const heard: string[] = [];
  watcher.watch(target, (change) => heard.push(words(change)));
  await watcher.sync();
  return heard;
}

export function words({ key, alive, cause }: Change): string {
  return `${key} ${alive ? "alive" : "dead"} ${cause}`;
}
