/** A store between a presence and the real one that fails, hangs and slows down on command. */
import { invalid, show } from "../core/checks.ts";
import type { Clock } from "../core/clock.ts";
import { HeartbitError } from "../core/errors.ts";
import type { Feed, FeedSink, Namespace, NamespaceScale, Page, ReadQuery, Store } from "../core/store.ts";
import { unlessAborted } from "../lib/abort.ts";
import { checkNumber, checkOptionsObject } from "../lib/arguments.ts";
import { systemClock } from "../lib/system-clock.ts";

/** An operation that passes the gate: each member of a namespace that does I/O. */
export type Operation = Exclude<keyof Namespace, "close" | "notices" | "delay" | "inTurn" | "examine">;

/** The outcome of an operation: it happens; it does not; or it happens and still rejects. */
export type Verdict = "pass" | "fail" | "fail after it happened";

/**
 * Wraps a store. Every operation of every namespace passes a gate before and after it happens, so that a failure may
 * hit an operation that has happened, as a lost reply does. `close` is never delayed.
 *
 * Several may wrap the same store, one for each client: a fault then affects only that client.
 */
export class FaultyStore implements Store {
  /** The kind of the wrapped store. */
  readonly kind: string;
  /** The clock of the wrapped store, if it has one. */
  readonly clock?: Clock;
  readonly #store: Store;
  readonly #gate: Gate;

  /** Throws `INVALID_OPTION` if `store` is not a store. */
  constructor(store: Store) {
    if (typeof store?.namespace !== "function") throw invalid("store", show(store), "a store");
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
   * From now on all operations reject with `error`, including those under way (they may have happened), and open feeds
   * are lost. Default: a `HeartbitError` with code `STORE_UNAVAILABLE`.
   */
  fail(error: unknown = new HeartbitError("STORE_UNAVAILABLE", "The store was told to fail.")): void {
    this.#gate.fail(error);
  }

  /** Ends `fail`, `delay`, `pause` and `capacity`. Lost feeds stay lost; hanging operations continue. */
  heal(): void {
    this.#gate.heal();
  }

  /**
   * Each operation (for a read, each page) takes `ms` longer by the store's clock: half of that before it happens, half
   * after. Operations under way keep their delay. Feeds are not delayed. 0 ends it.
   */
  delay(ms: number): void {
    this.#gate.delayMs = checkNumber("delay", ms, 0, Infinity);
  }

  /**
   * From now on the store takes this many writes a second, by its clock: a ping is one, and each record that is
   * written. Operations share it, taking turns record by record. An operation that its caller cancels does not happen.
   * Default: as many as there are.
   */
  capacity(options: { readonly writesPerSecond?: number } = {}): void {
    const { writesPerSecond = Infinity } = checkOptionsObject(options, ["writesPerSecond"]);
    this.#gate.limit(checkNumber("writesPerSecond", writesPerSecond, 1, Infinity));
  }

  /**
   * Operations hang, and feeds hold their reports back, until `resume` or `heal`. `fail` rejects hanging operations.
   */
  pause(): void {
    this.#gate.pause();
  }

  /** Ends `pause`: hanging operations continue, and feeds report what they held back, in order. */
  resume(): void {
    this.#gate.resume();
  }

  /**
   * Calls `decide` for each operation that passes the gate. `fail` rejects that one operation with `STORE_UNAVAILABLE`.
   * Call it without `decide` to end this; `heal` does not end it.
   */
  intercept(decide?: (operation: Operation) => Verdict): void {
    this.#gate.decide = decide;
  }
}

/** The gate that all namespaces of one `FaultyStore` share. */
class Gate {
  delayMs = 0;
  decide: ((operation: Operation) => Verdict) | undefined;
  readonly #clock: Clock;
  readonly #feeds = new Set<FaultyFeed>();
  #work: Work | undefined;
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
    this.limit(Infinity);
    this.resume();
  }

  limit(writesPerSecond: number): void {
    this.#work?.end();
    this.#work = writesPerSecond === Infinity ? undefined : new Work(this.#clock, writesPerSecond);
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
    if (this.#failure === undefined) for (const feed of this.#feeds) feed.reportHeld();
  }

  add(feed: FaultyFeed): void {
    this.#feeds.add(feed);
  }

  delete(feed: FaultyFeed): void {
    this.#feeds.delete(feed);
  }

  /** Runs the operation, which writes this many records, between two passages of the gate. */
  async run<T>(operation: Operation, act: () => Promise<T>, records = 0, cancel?: AbortSignal): Promise<T> {
    await this.#pass();
    const verdict = this.decide?.(operation) ?? "pass";
    if (verdict === "fail") throw intercepted(operation);
    const halfMs = this.delayMs / 2;
    await this.#drag(halfMs);
    await this.#work?.done(records, cancel);
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

/** An operation under way: how many records are left to write, and what to call when there are none. */
interface Task {
  left: number;
  end?: () => void;
}

/** What a store does in a second, shared by the operations under way. */
class Work {
  readonly #clock: Clock;
  readonly #perMs: number;
  readonly #underWay = new Set<Task>();
  #isTurning = false;

  constructor(clock: Clock, perSecond: number) {
    this.#clock = clock;
    this.#perMs = perSecond / 1000;
  }

  /** Resolves when this many records are written. Rejects when that is cancelled. */
  async done(records: number, cancel?: AbortSignal): Promise<void> {
    if (records === 0) return;
    const operation: Task = { left: records };
    const work = new Promise<void>((resolve) => (operation.end = resolve));
    this.#underWay.add(operation);
    if (!this.#isTurning) this.#turn(this.#clock.monotonic(), 0);
    await unlessAborted(work, cancel, cancelled).finally(() => this.#underWay.delete(operation));
  }

  /** Everything under way is done at once. */
  end(): void {
    for (const { end } of this.#underWay) end?.();
    this.#underWay.clear();
  }

  /** Writes what there was time for since the last turn, one record of each operation after the other. */
  #turn(since: number, rest: number): void {
    this.#isTurning = this.#underWay.size > 0;
    if (!this.#isTurning) return;
    const now = this.#clock.monotonic();
    let records = rest + (now - since) * this.#perMs;
    // An operation that is added again is visited again, after the others.
    for (const operation of this.#underWay) {
      if (records < 1) break;
      records--;
      this.#underWay.delete(operation);
      if (--operation.left === 0) operation.end?.();
      else this.#underWay.add(operation);
    }
    this.#clock.setTimer(() => this.#turn(now, records), Math.max(1, (1 - records) / this.#perMs));
  }
}

function cancelled(): HeartbitError {
  return new HeartbitError("STORE_UNAVAILABLE", "The operation was cancelled.");
}

function intercepted(operation: Operation): HeartbitError {
  return new HeartbitError("STORE_UNAVAILABLE", `The store was told to fail this ${operation}.`);
}

class FaultyNamespace implements Namespace {
  readonly feed?: NonNullable<Namespace["feed"]>;
  readonly notices?: NonNullable<Namespace["notices"]>;
  readonly delay?: NonNullable<Namespace["delay"]>;
  readonly inTurn?: NonNullable<Namespace["inTurn"]>;
  readonly examine?: NonNullable<Namespace["examine"]>;
  readonly #inner: Namespace;
  readonly #gate: Gate;
  readonly #feeds = new Set<FaultyFeed>();

  constructor(inner: Namespace, gate: Gate) {
    this.#inner = inner;
    this.#gate = gate;
    // Optional members of the store are optional here too.
    const feed = inner.feed?.bind(inner);
    if (feed !== undefined)
      this.feed = (select, sink) => this.#openFeed((wrapped) => feed(select, wrapped), sink);
    const notices = inner.notices?.bind(inner);
    if (notices !== undefined) this.notices = notices;
    const delay = inner.delay?.bind(inner);
    if (delay !== undefined) this.delay = delay;
    const inTurn = inner.inTurn?.bind(inner);
    if (inTurn !== undefined) this.inTurn = inTurn;
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
    this.#gate.run("write", () => this.#inner.write(writes, signal), writes.length, signal);
  readonly ping: Namespace["ping"] = (slot, seq) =>
    this.#gate.run("ping", () => this.#inner.ping(slot, seq), 1);
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
    this.ready.catch(() => {}); // reported to everyone who awaits it
  }

  /** Reports that were held back are lost with the feed. */
  lose(error: unknown): void {
    if (this.#ended) return;
    const wasReady = this.#isReady;
    this.#letGo();
    if (wasReady) this.#sink.lost(error);
  }

  reportHeld(): void {
    for (const report of this.#held.splice(0)) report();
  }

  async close(): Promise<void> {
    this.#ended = true;
    this.#held.length = 0;
    this.#gate.delete(this);
    this.#onEnd();
    await this.#inner?.close();
  }

  /** Closes it without waiting. */
  #letGo(): void {
    this.close().catch(() => {});
  }

  async #open(open: (sink: FeedSink) => Feed): Promise<void> {
    try {
      await this.#gate.run("feed", async () => {
        if (this.#ended) return;
        this.#inner = open({
          page: (page) => this.#report(() => this.#sink.page(page)),
          lost: (error) => this.#report(() => this.lose(error)),
        });
        await this.#inner.ready;
      });
      this.#isReady = true;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  #report(report: () => void): void {
    if (this.#ended) return;
    if (this.#gate.isPaused) this.#held.push(report);
    else report();
  }
}
