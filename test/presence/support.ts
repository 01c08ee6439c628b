/** One memory store on a manual clock, with presences behind links of their own. */
import { expect } from "vitest";
import type { Change, Clock, Pinger, PresenceOptions, Watcher, WatchTarget } from "../../src/index.ts";
import { Presence } from "../../src/index.ts";
import type { Namespace, Page, Store, StoreNotice } from "../../src/core/store.ts";
import { FaultyStore, ManualClock, MemoryStore, type Operation } from "../../src/testing/index.ts";

export const PERIOD_MS = 5000;

/** What a call throws, or rejects with, that is refused: an error with the code, and with this in its message. */
export function refusal(code: string, message: RegExp = /./): Error {
  return expect.objectContaining({ code, message: expect.stringMatching(message) as string }) as Error;
}

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

  /** A presence on the store, with some members of its namespaces in place of the store's own. */
  openWith(replace: Replace, options: PresenceOptions = {}): Promise<Presence> {
    return Presence.open(wrap(this.store, replace), { periodMs: PERIOD_MS, ...options });
  }

  /** What is stored: the namespace of the presences, without a link. */
  get stored(): Namespace {
    return this.store.namespace("presence");
  }

  /** Periods since the beginning, which is at the start of a slot. */
  get now(): number {
    return (this.clock.now() - this.#start) / PERIOD_MS;
  }

  /** Resolves once so many ms have passed on the clock: for what takes so long while the test lets time pass. */
  after(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.setTimer(resolve, ms));
  }

  async periods(count: number): Promise<void> {
    await this.clock.advance(count * PERIOD_MS);
  }

  /** Lets so many periods pass, and gives what the promise gives, which may settle earlier. */
  async during<T>(count: number, promise: Promise<T>): Promise<T> {
    promise.catch(() => {}); // it is rejected below
    await this.periods(count);
    return promise;
  }

  /** The keys that are alive for a presence that has just come. */
  async alive(): Promise<string[]> {
    return aliveFor((await this.open()).presence);
  }
}

/** The keys that the presence lists as alive. */
export async function aliveFor(presence: Presence): Promise<string[]> {
  const { keys } = await presence.list();
  return keys.flatMap(({ key, alive }) => (alive ? [key] : []));
}

/** So many texts, each with a number of its own. */
export function texts(count: number, prefix: string): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`);
}

/** Starts a pinger of each key. */
export async function startAll(presence: Presence, keys: readonly string[]): Promise<Pinger[]> {
  const pingers = keys.map((key) => presence.pinger(key));
  await Promise.all(pingers.map((pinger) => pinger.start()));
  return pingers;
}

/** For `link.intercept`: the first so many calls of the operation end like this. */
export function first(
  count: number,
  operation: Operation,
  how: "fail" | "fail after it happened" = "fail",
): (operation: Operation) => "fail" | "fail after it happened" | "pass" {
  let left = count;
  return (one) => (one === operation && left-- > 0 ? how : "pass");
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

export type Replace = (namespace: Namespace) => Partial<Namespace>;

/** The store, with some members of its namespaces in place of its own. */
export function wrap(store: Store, replace: Replace): Store {
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

/** A presence behind a link of its own, and a way to notify it that its server was away and is back. */
export async function restartable(
  bench: Bench,
  options: PresenceOptions = {},
  replace: Replace = () => ({}),
) {
  const link = new FaultyStore(wrap(bench.store, replace));
  let notify: ((notice: StoreNotice) => void) | undefined;
  const noticing = wrap(link, () => ({
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
  return { presence, link, restart };
}

/** For `link.intercept`: these operations fail. */
export function failing(...operations: Operation[]): (operation: Operation) => "fail" | "pass" {
  return (operation) => (operations.includes(operation) ? "fail" : "pass");
}

/** What a watcher tells of a target, as words. Resolves when it has told the current state. */
export async function hear(watcher: Watcher, target: WatchTarget): Promise<string[]> {
  const heard: string[] = [];
  watcher.watch(target, (change) => heard.push(words(change)));
  await watcher.sync();
  return heard;
}

export function words({ key, alive, cause }: Change): string {
  return `${key} ${alive ? "alive" : "dead"} ${cause}`;
}
