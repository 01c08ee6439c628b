/**
 * The server-sent events for one client of `GET /api/changes`:
 *
 *   hello                            always first: whose state it is, and whether the client resumes
 *   snapshot, keys, keys, ...        the state of every key, unless the client resumes
 *   past, ready                      the latest changes, oldest first; then the snapshot is complete
 *   change, change, ...              later changes, each with an id to resume from
 *   health                           whenever it changes
 *
 * Nothing is produced before the client takes it. So a slow client costs one pending change for each key or, if there
 * are too many, a mark that it needs a new snapshot.
 */
import type { Clock } from "../core/clock.ts";
import type { KeyState } from "../presence/list.ts";
import { internalsOf } from "../presence/context/internals.ts";
import type { Board } from "./board.ts";
import type { Entry } from "./journal.ts";

/** Keys in one event of a snapshot. */
const PAGE_KEYS = 500;
/** The most changes that wait for one client. With more, a snapshot is cheaper. */
const PENDING_MAX = 10_000;
/** How many earlier changes a new client gets, so that it does not start with an empty list. */
const PAST_CHANGES = 100;
/** About how many characters are sent at a time. */
const CHUNK_CHARS = 64 * 1024;
/** Without events, a comment is sent after this many ms, so that both sides know that the other is there. */
const SILENCE_MS = 15_000;

export interface ChangeStreamOptions {
  readonly board: Board;
  /** Sent in `hello`. */
  readonly allowWrites: boolean;
  /** Identifies this dashboard: ids of another one are meaningless here. */
  readonly instance: string;
  /** The id of the last event that the client has seen, if any. */
  readonly lastEventId: string | undefined;
  /** Called once, when the client has gone or the board is closed. */
  readonly ended: () => void;
}

export class ChangeStream {
  readonly #options: ChangeStreamOptions;
  readonly #clock: Clock;
  /** Changes that the client missed while it was away, the oldest last: sent before pending ones. */
  #missed: Entry[] = [];
  /** By key, in the order of their numbers. */
  readonly #pending = new Map<string, Entry>();
  /** The keys of the snapshot that are not sent yet, from the end. */
  #untold: string[] | undefined;
  #isFresh = true;
  #needsSnapshot = false;
  #needsHealth = false;
  #hasEnded = false;
  #unfollow: () => void = () => {};
  #wake: () => void = () => {};

  constructor(options: ChangeStreamOptions) {
    this.#options = options;
    this.#clock = internalsOf(options.board.presence).clock;
  }

  /** The events. Each chunk is produced when the one before it has been taken. */
  readable(): ReadableStream<Uint8Array> {
    const utf8 = new TextEncoder();
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const chunk = await this.#next();
          if (chunk === undefined) controller.close();
          else controller.enqueue(utf8.encode(chunk));
        },
        cancel: () => this.end(),
      },
      { highWaterMark: 0 },
    );
  }

  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#unfollow();
    this.#pending.clear();
    this.#missed = [];
    this.#wake();
    this.#options.ended();
  }

  /** The next chunk, as soon as there is one; undefined at the end. */
  async #next(): Promise<string | undefined> {
    const { board } = this.#options;
    while (!this.#hasEnded) {
      if (board.isClosed) this.end();
      else if (this.#isFresh) return this.#begin();
      const text = this.#take();
      if (text !== "") return text;
      if (!this.#hasEnded && (await this.#sleep()) === "silence") return ": still here\n\n";
    }
    return undefined;
  }

  #begin(): string {
    const { board, instance, lastEventId = "" } = this.#options;
    const [, of, id] = /^(\w+)-(\d{1,15})$/.exec(lastEventId) ?? [];
    const missed = of === instance ? board.journal.after(Number(id)) : undefined;
    this.#isFresh = false;
    this.#unfollow = board.follow({
      loaded: () => this.#wake(),
      changed: (entry) => this.#put(entry),
      health: () => {
        this.#needsHealth = true;
        this.#wake();
      },
      closed: () => this.end(),
    });
    this.#needsSnapshot = missed === undefined;
    this.#missed = missed?.toReversed() ?? [];
    return this.#hello();
  }

  #put(entry: Entry): void {
    if (this.#needsSnapshot) return;
    this.#pending.delete(entry.key); // so that it moves to the end
    this.#pending.set(entry.key, entry);
    if (this.#pending.size > PENDING_MAX) {
      this.#pending.clear();
      this.#missed = [];
      this.#untold = undefined;
      this.#needsSnapshot = true;
    }
    this.#wake();
  }

  /** What can be sent now, up to a chunk. */
  #take(): string {
    const { board } = this.#options;
    let text = "";
    if (this.#needsHealth) {
      this.#needsHealth = false;
      text += event("health", board.health);
    }
    if (this.#needsSnapshot && board.isLoaded) {
      this.#needsSnapshot = false;
      this.#untold = board.keys();
      // The empty id: a client that loses the connection before `ready` cannot resume.
      text += event("snapshot", board.totals, "");
    }
    if (this.#untold !== undefined) return text + this.#takeSnapshot(this.#untold);
    while (this.#missed.length > 0 && text.length < CHUNK_CHARS) {
      const entry = this.#missed.pop();
      if (entry !== undefined) text += this.#change(entry);
    }
    for (const [key, entry] of this.#pending) {
      if (text.length >= CHUNK_CHARS) break;
      this.#pending.delete(key);
      text += this.#change(entry);
    }
    return text;
  }

  #takeSnapshot(untold: string[]): string {
    const { board, instance } = this.#options;
    if (untold.length > 0) {
      const states: KeyState[] = [];
      for (const key of untold.splice(-PAGE_KEYS)) {
        const state = board.get(key);
        if (state !== undefined) states.push(state);
        this.#pending.delete(key); // the snapshot has its latest state
      }
      return event("keys", compact(states));
    }
    this.#untold = undefined;
    const [first] = this.#pending.values();
    const upTo = first === undefined ? board.journal.latest : first.id - 1;
    const past = board.journal.upTo(upTo, PAST_CHANGES).map(({ text }) => text);
    return `event: past\ndata: [${past.join(",")}]\n\n${event("ready", board.totals, `${instance}-${upTo}`)}`;
  }

  #change({ id, text }: Entry): string {
    return `event: change\nid: ${this.#options.instance}-${id}\ndata: ${text}\n\n`;
  }

  #hello(): string {
    const { board, instance, allowWrites } = this.#options;
    const { name, periodMs, retentionSlots, time } = internalsOf(board.presence);
    return event("hello", {
      instance,
      resumed: !this.#needsSnapshot,
      name,
      periodMs,
      retentionMs: periodMs * retentionSlots,
      session: board.presence.session ?? null,
      now: new Date(time.now),
      allowWrites,
      health: board.health,
    });
  }

  /** Resolves when there may be something to send, or after too long a silence. */
  #sleep(): Promise<"woken" | "silence"> {
    return new Promise((resolve) => {
      const cancel = this.#clock.setTimer(() => resolve("silence"), SILENCE_MS);
      this.#wake = () => {
        cancel();
        resolve("woken");
      };
    });
  }
}

/**
 * The states in a compact form, with each process only once:
 * `{ sessions: [[session, host, pid], ...], keys: [[key, sinceMs, [[session, sinceMs, meta], ...]], ...] }`.
 * A key without holders is dead.
 */
function compact(states: readonly KeyState[]): unknown {
  const sessions = new Map<number, readonly [session: number, host: string, pid: number]>();
  const keys = states.map(({ key, since, holders }) => {
    const held = holders.map(({ session, host, pid, since: from, meta }) => {
      if (!sessions.has(session)) sessions.set(session, [session, host, pid]);
      return [session, from.getTime(), meta];
    });
    return [key, since.getTime(), held];
  });
  return { sessions: [...sessions.values()], keys };
}

function event(name: string, data: unknown, id?: string): string {
  return `event: ${name}\n${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`;
}
