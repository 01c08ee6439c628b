/** A store between a presence and the real one, which fails, hangs and drags on command. */
import type { Clock } from "../core/clock.ts";
import { HeartbitError } from "../core/errors.ts";
import type { Feed, FeedSink, Namespace, NamespaceScale, Page, ReadQuery, Store } from "../core/store.ts";
import { systemClock } from "../lib/system-clock.ts";

/** An operation that passes the gate: each member of a namespace that does I/O. */
export type Operation = Exclude<keyof Namespace, "close" | "notices" | "examine">;

/** What becomes of an operation: it is done; it is not; or it is done and the caller is told that it failed. */
export type Verdict = "pass" | "fail" | "fail after it happened";

/**
 * Wraps a store. Every operation of every namespace passes a gate twice: before it is done and after, so that a
 * failure may hit an operation that has happened, as a lost reply does. `close` is never held up.
 *
 * Several may wrap one store, one for each client: what is done to one is then the trouble of that client alone.
 */
export class FaultyStore implements Store {
  /** The wrapped store's. */
  readonly kind: string;
  /** The wrapped store's, where it has one. */
  readonly clock?: Clock;
  readonly #store: Store;
  readonly #gate: Gate;

  constructor(store: Store) {
    this.kind = store.kind;
    if (store.clock !== undefined) this.clock = store.clock;
    this.#store = store;
    this.#gate = new Gate(store.clock ?? systemClock);
  }

  /** A namespace behind the gate. */
  namespace(name: string, scale: NamespaceScale): Namespace {
    return new FaultyNamespace(this.#store.namespace(name, scale), this.#gate);
  }

  /** Closes the wrapped store. */
  close(): Promise<void> {
    return this.#store.close();
  }

  /**
   * From now on all operations reject with `error`, those under way included (they may have happened), and open feeds
   * are lost. Default: a `HeartbitError` with code `STORE_UNAVAILABLE`.
   */
  fail(error: unknown = new HeartbitError("STORE_UNAVAILABLE", "The store was told to fail.")): void {
    this.#gate.fail(error);
  }

  /** Back to normal: ends `fail`, `delay` and `pause`. Lost feeds stay lost; what hung goes on. */
  heal(): void {
    this.#gate.heal();
  }

  /**
   * Each operation (of a read, each page) takes `ms` longer by the store's clock: one half before it is done, the other
   * after. What is under way keeps its delay. Feeds are not delayed. 0 ends it.
   */
  delay(ms: number): void {
    this.#gate.delayMs = ms;
  }

  /** Operations hang, and what feeds would tell is held, until `resume` or `heal`; `fail` ends the hanging with its error. */
  pause(): void {
    this.#gate.pause();
  }

  /** Ends `pause`: what hung goes on, what was held is told, in order. */
  resume(): void {
    this.#gate.resume();
  }

  /**
   * Asks `decide` about each operation that gets through the gate; `fail` here is a `STORE_UNAVAILABLE` for that one
   * operation. Without `decide`, ends it; `heal` does not.
   */
  intercept(decide?: (operation: Operation) => Verdict): void {
    this.#gate.decide = decide;
  }
}

/** What all namespaces of one `FaultyStore` pass through. */
class Gate {
  delayMs = 0;
  decide: ((operation: Operation) => Verdict) | undefined;
  readonly #clock: Clock;
  readonly #feeds = new Set<FaultyFeed>();
  #failure: { readonly error: unknown } | undefined;
  #pause: { readonly over: Promise<void>; readonly end: () => void } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isPaused(): boolean {
    return this.#pause !== undefined;
  }

  fail(error: unknown): void {
    this.#failure = { error };
    const feeds = [...this.#feeds];
    this.resume();
    for (const feed of feeds) feed.lose(error);
  }

  heal(): void {
    this.#failure = undefined;
    this.delayMs = 0;
    this.resume();
  }

  pause(): void {
    if (this.#pause !== undefined) return;
    let end: (() => void) | undefined;
    const over = new Promise<void>((resolve) => (end = resolve));
    this.#pause = { over, end: () => end?.() };
  }

  resume(): void {
    this.#pause?.end();
    this.#pause = undefined;
    if (this.#failure === undefined) for (const feed of this.#feeds) feed.tellHeld();
  }

  add(feed: FaultyFeed): void {
    this.#feeds.add(feed);
  }

  delete(feed: FaultyFeed): void {
    this.#feeds.delete(feed);
  }

  /** Does the operation between two passages of the gate. */
  async run<T>(operation: Operation, act: () => Promise<T>): Promise<T> {
    await this.#pass();
    const verdict = this.decide?.(operation) ?? "pass";
    if (verdict === "fail") throw intercepted(operation);
    const halfMs = this.delayMs / 2;
    await this.#drag(halfMs);
    const result = await act();
    await this.#drag(halfMs);
    await this.#pass();
    if (verdict !== "pass") throw intercepted(operation);
    return result;
  }

  async #pass(): Promise<void> {
    while (this.#pause !== undefined) await this.#pause.over;
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #drag(ms: number): Promise<void> {
    if (ms <= 0) return;
    await new Promise<void>((resolve) => void this.#clock.setTimer(resolve, ms));
    await this.#pass();
  }
}

function intercepted(operation: Operation): HeartbitError {
  return new HeartbitError("STORE_UNAVAILABLE", `The store was told to fail this ${operation}.`);
}

class FaultyNamespace implements Namespace {
  readonly feed?: NonNullable<Namespace["feed"]>;
  readonly notices?: NonNullable<Namespace["notices"]>;
  readonly examine?: NonNullable<Namespace["examine"]>;
  readonly #inner: Namespace;
  readonly #gate: Gate;
  readonly #feeds = new Set<FaultyFeed>();

  constructor(inner: Namespace, gate: Gate) {
    this.#inner = inner;
    this.#gate = gate;
    // What the store has not got, this one has not got either.
    const feed = inner.feed?.bind(inner);
    if (feed !== undefined)
      this.feed = (select, sink) => this.#openFeed((wrapped) => feed(select, wrapped), sink);
    const notices = inner.notices?.bind(inner);
    if (notices !== undefined) this.notices = notices;
    const examine = inner.examine?.bind(inner);
    if (examine !== undefined) this.examine = examine;
  }

  readonly config: Namespace["config"] = () => this.#gate.run("config", () => this.#inner.config());
  readonly configure: Namespace["configure"] = (wanted) =>
    this.#gate.run("configure", () => this.#inner.configure(wanted));
  readonly raiseOffset: Namespace["raiseOffset"] = (from, to) =>
    this.#gate.run("raiseOffset", () => this.#inner.raiseOffset(from, to));
  readonly time: Namespace["time"] = () => this.#gate.run("time", () => this.#inner.time());
  readonly nextSeq: Namespace["nextSeq"] = () => this.#gate.run("nextSeq", () => this.#inner.nextSeq());
  readonly write: Namespace["write"] = (writes, signal) =>
    this.#gate.run("write", () => this.#inner.write(writes, signal));
  readonly ping: Namespace["ping"] = (slot, seq) => this.#gate.run("ping", () => this.#inner.ping(slot, seq));
  readonly mail: Namespace["mail"] = (slot, seqs) =>
    this.#gate.run("mail", () => this.#inner.mail(slot, seqs));
  readonly countOpen: Namespace["countOpen"] = (session) =>
    this.#gate.run("countOpen", () => this.#inner.countOpen(session));
  readonly kill: Namespace["kill"] = (key) => this.#gate.run("kill", () => this.#inner.kill(key));
  readonly pings: Namespace["pings"] = (from) => this.#gate.run("pings", () => this.#inner.pings(from));
  readonly prune: Namespace["prune"] = (query) => this.#gate.run("prune", () => this.#inner.prune(query));
  readonly drop: Namespace["drop"] = () => this.#gate.run("drop", () => this.#inner.drop());

  async *read(query: ReadQuery): AsyncIterable<Page> {
    const pages = this.#inner.read(query)[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await this.#gate.run("read", () => pages.next());
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      await pages.return?.();
    }
  }

  async close(): Promise<void> {
    for (const feed of this.#feeds) await feed.close();
    await this.#inner.close();
  }

  #openFeed(open: (sink: FeedSink) => Feed, sink: FeedSink): Feed {
    const feed = new FaultyFeed(open, sink, this.#gate, () => this.#feeds.delete(feed));
    this.#feeds.add(feed);
    return feed;
  }
}

class FaultyFeed implements Feed {
  readonly ready: Promise<void>;
  readonly #sink: FeedSink;
  readonly #gate: Gate;
  readonly #onEnd: () => void;
  readonly #held: (() => void)[] = [];
  #inner: Feed | undefined;
  #isReady = false;
  #ended = false;

  constructor(open: (sink: FeedSink) => Feed, sink: FeedSink, gate: Gate, onEnd: () => void) {
    this.#sink = sink;
    this.#gate = gate;
    this.#onEnd = onEnd;
    gate.add(this);
    this.ready = this.#open(open);
    this.ready.catch(() => {}); // whoever waits for it hears of it
  }

  /** What hung is lost with the feed. */
  lose(error: unknown): void {
    if (this.#ended) return;
    const wasReady = this.#isReady;
    this.#letGo();
    if (wasReady) this.#sink.lost(error);
  }

  tellHeld(): void {
    for (const tell of this.#held.splice(0)) tell();
  }

  async close(): Promise<void> {
    this.#ended = true;
    this.#held.length = 0;
    this.#gate.delete(this);
    this.#onEnd();
    await this.#inner?.close();
  }

  /** Closes without anybody waiting for it. */
  #letGo(): void {
    this.close().catch(() => {});
  }

  async #open(open: (sink: FeedSink) => Feed): Promise<void> {
    try {
      await this.#gate.run("feed", async () => {
        if (this.#ended) return;
        this.#inner = open({
          page: (page) => this.#tell(() => this.#sink.page(page)),
          lost: (error) => this.#tell(() => this.lose(error)),
        });
        await this.#inner.ready;
      });
      this.#isReady = true;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  #tell(tell: () => void): void {
    if (this.#ended) return;
    if (this.#gate.isPaused) this.#held.push(tell);
    else tell();
  }
}
