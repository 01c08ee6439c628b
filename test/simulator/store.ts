/** The port of a store, through a link. */
import { HeartbitError } from "../../src/index.ts";
import type { Feed, FeedSink, Namespace, Page, ReadQuery, Store } from "../../src/core/store.ts";
import type { Selection } from "../../src/core/selection.ts";
import type { Act } from "./cluster.ts";
import type { Link } from "./link.ts";

/** What the simulation wants to know of what truly reaches the store. */
export interface Effects {
  /** A ping is sent. `mayBeLost`, though others can write. */
  tried(mayBeLost: boolean): void;
  /** A ping, sent at a true time, is done. */
  pinged(seq: number, sentAt: number): void;
  killed(key: string): void;
}

export function linkedStore(link: Link, effects: Effects): Store {
  return {
    kind: "simulated",
    namespace: () => new LinkedNamespace(link, effects),
    close: () => Promise.resolve(),
  };
}

class LinkedNamespace implements Namespace {
  readonly #link: Link;
  readonly #effects: Effects;
  readonly #feeds = new Set<LinkedFeed>();
  readonly notices?: NonNullable<Namespace["notices"]>;

  constructor(link: Link, effects: Effects) {
    this.#link = link;
    this.#effects = effects;
    if (link.hasNotices) this.notices = (listener) => link.listen(listener);
  }

  /** Never stale: as sure as a write. */
  readonly config: Namespace["config"] = () => this.#link.ask((store) => store.config());
  readonly time: Namespace["time"] = () => this.#link.time();
  readonly pings: Namespace["pings"] = (from) => this.#link.read((store) => store.pings(from));
  /** Who may only read opens what another has set up. */
  readonly configure: Namespace["configure"] = async (wanted) =>
    (this.#link.mayOnlyRead ? await this.config() : undefined) ??
    this.#link.write((store) => store.configure(wanted));
  readonly raiseOffset: Namespace["raiseOffset"] = (from, to) =>
    this.#link.write((store) => store.raiseOffset(from, to));
  readonly nextSeq: Namespace["nextSeq"] = () => this.#link.write((store) => store.nextSeq());
  readonly mail: Namespace["mail"] = (slot, seqs) => this.#link.write((store) => store.mail(slot, seqs));
  readonly countOpen: Namespace["countOpen"] = (session) =>
    this.#link.read((store) => store.countOpen(session));
  readonly write: Namespace["write"] = (writes) => this.#link.write((store) => store.write(writes));
  readonly prune: Namespace["prune"] = (query) => this.#link.write((store) => store.prune(query));
  readonly drop: Namespace["drop"] = () => this.#link.write((store) => store.drop());

  readonly ping: Namespace["ping"] = (slot, seq) => {
    const sentAt = this.#link.cluster.world.now;
    this.#effects.tried(this.#link.find("flaky") !== undefined);
    return this.#link.write((store) => {
      if (this.#isReal(store)) this.#effects.pinged(seq, sentAt);
      return store.ping(slot, seq);
    });
  };

  readonly kill: Namespace["kill"] = (key) =>
    this.#link.write((store) => {
      if (this.#isReal(store)) this.#effects.killed(key);
      return store.kill(key);
    });

  /** The same act is done again on copies: that is no effect. */
  #isReal(store: Namespace): boolean {
    return store === this.#link.cluster.primary;
  }

  async *read(query: ReadQuery): AsyncIterable<Page> {
    const first = await this.#link.read(async (store) => {
      const pages: Page[] = [];
      for await (const page of store.read(query)) pages.push(page);
      return pages;
    });
    for (const page of first) {
      if (page.registrations.length < 2 || this.#link.random.chance(0.8)) yield page;
      else {
        const half = page.registrations.length >> 1;
        yield { sessions: page.sessions, registrations: page.registrations.slice(0, half) };
        yield await this.#link.read(() =>
          Promise.resolve({ ...page, sessions: [], registrations: page.registrations.slice(half) }),
        );
      }
    }
  }

  feed(select: Selection, sink: FeedSink): Feed {
    const feed = new LinkedFeed(this.#link, select, sink, () => this.#feeds.delete(feed));
    this.#feeds.add(feed);
    return feed;
  }

  async close(): Promise<void> {
    for (const feed of this.#feeds) await feed.close();
  }
}

class LinkedFeed implements Feed {
  readonly ready: Promise<void>;
  readonly #link: Link;
  readonly #sink: FeedSink;
  readonly #onEnd: () => void;
  readonly #forget: () => void;
  #inner: Feed | undefined;
  #ended = false;
  /** When the latest page arrives: pages come in order. */
  #arrival = 0;
  #held: Page[] = [];

  constructor(link: Link, select: Selection, sink: FeedSink, onEnd: () => void) {
    this.#link = link;
    this.#sink = sink;
    this.#onEnd = onEnd;
    this.#forget = link.addFeed((reason) => this.#lose(reason));
    const open: Act<void> = async (store) => {
      if (this.#ended) return;
      if (this.#link.find("standalone") !== undefined)
        throw new HeartbitError("UNSUPPORTED_SERVER", "The simulated server is standalone.");
      const lost = (error: unknown): void => this.#lose(String(error));
      // A feed beside a deposed primary is silent, so it matters little whose it is. Another one only lags.
      const { cluster } = this.#link;
      const followed = this.#link.find("cut") === undefined ? cluster.primary : store;
      this.#inner = followed.feed?.(select, { page: (page) => this.#hear(page), lost });
    };
    this.ready = link.read(open);
  }

  async close(): Promise<void> {
    this.#ended = true;
    this.#forget();
    this.#onEnd();
    await this.#inner?.close();
  }

  #lose(reason: string): void {
    if (this.#ended) return;
    void this.close();
    this.#link.machine.deliver(() => this.#sink.lost(new Error(reason)));
  }

  #hear(page: Page): void {
    const { random } = this.#link;
    if (["silent", "lose", "cut"].some((kind) => this.#link.find(kind as "silent") !== undefined)) return;
    if (this.#held.length > 0 || this.#link.find("hold") !== undefined) {
      if (this.#held.push(page) === 1) this.#awaitRelease();
      return;
    }
    const mess = this.#link.find("mess");
    if (mess === undefined) {
      this.#tellAfter(this.#link.latency() + (this.#link.find("majority lags")?.ms ?? 0), page, true);
      return;
    }
    this.#tellAfter(random.between(0, mess.ms), page, false);
    if (random.chance(0.5)) this.#tellAfter(random.between(0, mess.ms), page, false);
  }

  #awaitRelease(): void {
    this.#link.cluster.world.after(this.#link.periodMs / 50, () => {
      if (this.#link.find("hold") !== undefined) this.#awaitRelease();
      else for (const page of this.#held.splice(0)) this.#tellAfter(this.#link.latency(), page, true);
    });
  }

  #tellAfter(ms: number, page: Page, inOrder: boolean): void {
    const { world } = this.#link.cluster;
    const at = inOrder ? Math.max(this.#arrival, world.now + ms) : world.now + ms;
    this.#arrival = Math.max(this.#arrival, at);
    world.at(at, () => {
      this.#link.machine.deliver(() => {
        if (!this.#ended) this.#sink.page(page);
      });
    });
  }
}
