/** Reports changes as they happen: a process that makes one writes to the file `bell`, which all feeds listen to. */
import { type FSWatcher, watch } from "node:fs";
import { NOTHING, type Selection } from "../../core/selection.ts";
import type { Cursor, Feed, FeedSink, ReadQuery } from "../../core/store.ts";
import { systemClock } from "../../lib/system-clock.ts";
import type { Database } from "./database.ts";
import { readHead } from "./head.ts";
import { readPages } from "./reading.ts";

/** How often the number of the latest change is read, in ms, if the system cannot watch the file (too many watches). */
const LOOK_MS = 25;

export type Watch = (path: string, listener: (event: string) => void) => FSWatcher;

const watchFile: Watch = (path, listener) => {
  if (process.versions["bun"] !== undefined) throw new Error("Bun's watches lose events.");
  return watch(path, { persistent: false }, listener);
};

/** `listen` watches a file, or throws if that is not possible. */
export function openFeed(
  database: Database,
  name: string,
  select: Selection,
  sink: FeedSink,
  listen: Watch = watchFile,
): Feed {
  const feed = new BellFeed(database, name, select, sink);
  const ready = feed.open(listen).catch((error: unknown) => {
    feed.end();
    throw error;
  });
  return { ready, close: () => Promise.resolve(feed.end()) };
}

class BellFeed {
  readonly #database: Database;
  readonly #name: string;
  readonly #select: Selection;
  readonly #sink: FeedSink;
  #cursor: Cursor | undefined;
  #stop: () => void = () => {};
  #isOver = false;
  #isReading = false;
  #isDue = false;

  constructor(database: Database, name: string, select: Selection, sink: FeedSink) {
    this.#database = database;
    this.#name = name;
    this.#select = select;
    this.#sink = sink;
  }

  async open(listen: Watch): Promise<void> {
    const generation = await this.#database.view(() => this.#database.generation);
    if (this.#isOver) return;
    const stop = this.#watchBell(listen) ?? this.#lookOften();
    // After the file was removed or replaced, there is another bell. This process may be the first to notice.
    const listenToFile = (): void => {
      if (this.#database.generation !== generation)
        this.#fail(new Error("The store's file was removed or replaced."));
    };
    this.#database.listeners.add(listenToFile);
    this.#stop = () => {
      this.#database.listeners.delete(listenToFile);
      stop();
    };
    // Changes from here on are reported.
    for await (const page of readPages(this.#database, this.#name, { select: NOTHING }))
      this.#cursor = page.cursor ?? this.#cursor;
    if (this.#isDue) void this.#read();
  }

  end(): void {
    this.#isOver = true;
    this.#stop();
  }

  #watchBell(listen: Watch): (() => void) | undefined {
    try {
      // Removing the bell is an event too; reading then notices that the file is gone.
      const watcher = listen(this.#database.place.bell, () => void this.#read());
      watcher.on("error", (error) => this.#fail(error));
      return () => watcher.close();
    } catch {
      return undefined;
    }
  }

  #lookOften(): () => void {
    let cancel: (() => void) | undefined;
    let latest: string | undefined;
    const look = async (): Promise<void> => {
      try {
        const head = await this.#database.view((sql) => readHead(sql, this.#name));
        const change = `${head?.life} ${head?.change}`;
        if (change !== latest) await this.#read();
        latest = change;
      } catch (error) {
        this.#fail(error);
      }
      if (!this.#isOver) cancel = systemClock.setTimer(() => void look(), LOOK_MS);
    };
    void look();
    return () => cancel?.();
  }

  async #read(): Promise<void> {
    this.#isDue = true;
    if (this.#isReading || this.#cursor === undefined) return;
    this.#isReading = true;
    try {
      while (this.#isDue && !this.#isOver) {
        this.#isDue = false;
        const query: ReadQuery = { select: this.#select, since: this.#cursor };
        for await (const { cursor, ...page } of readPages(this.#database, this.#name, query)) {
          if (this.#isOver) break;
          if (page.sessions.length + page.registrations.length > 0) this.#sink.page(page);
          this.#cursor = cursor ?? this.#cursor;
        }
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#isReading = false;
    }
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.end();
    this.#sink.lost(error);
  }
}
