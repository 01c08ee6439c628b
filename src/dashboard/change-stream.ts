/**
 * The server-sent events for one client of `GET /api/changes`:
 *
 *   hello                            always first: whose state it is, and whether the client resumes
 *   snapshot, keys, keys, ...        the state of every key, unless the client resumes
 *   past, ready                      the latest changes, oldest first; then the snapshot is complete
 *   change, change, ...              later changes, each with an id to resume from
 *   health                           whenever it changes
 *
 * Nothing is produced before the client takes it. All that is kept for a client is its position in the journal, so a
 * slow one costs no more than a fast one. If the journal no longer has the next change, the client gets a new snapshot.
 */
import type { Clock } from "../core/clock.ts";
import { after } from "../core/sorted-keys.ts";
import type { KeyState } from "../core/listing.ts";
import { internalsOf } from "../presence/internals.ts";
import type { Board } from "./board.ts";
import type { Entry } from "./journal.ts";
import { inPieces, type Pace } from "./pieces.ts";

/** Keys in one event of a snapshot. */
const PAGE_KEYS = 500;
/** How many earlier changes a new client gets, so that it does not start with an empty list. */
const PAST_CHANGES = 100;
/** About how many characters are sent at a time, and are in an event. */
const CHUNK_CHARS = 64 * 1024;
/** Without events, a comment is sent after this many ms, so that both sides know that the other is there. */
const SILENCE_MS = 15_000;

/** The keys up to this one were sent as of this change. */
interface Part {
  upToKey: string;
  readonly asOf: number;
}

export interface ChangeStreamOptions {
  readonly board: Board;
  readonly pace: Pace;
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
  /** The number of the latest change that the client knows of. */
  #at = 0;
  /** Up to this number the client gets each change, because it was away; after it the latest one of each key. */
  #missedUpTo = 0;
  /** Where a snapshot continues; undefined if there is none to send. */
  #nextKey: string | undefined;
  /** The parts of the latest snapshot that were sent: one for each number as of which keys were sent. */
  #parts: Part[] = [];
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
    return inPieces(
      this.#options.pace,
      () => this.#next(),
      () => this.end(),
    );
  }

  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#unfollow();
    this.#parts = [];
    this.#wake();
    this.#options.ended();
  }

  /** The next chunk, as soon as there is one; undefined at the end. */
  async #next(): Promise<string | undefined> {
    const { board } = this.#options;
    while (!this.#hasEnded) {
      if (board.isClosed) {
        this.end();
        break;
      }
      if (this.#isFresh) return this.#begin();
      const text = this.#take();
      if (text !== "") return text;
      if (!this.#hasEnded && (await this.#sleep()) === "silence") return ": still here\n\n";
    }
    return undefined;
  }

  #begin(): string {
    const { board, instance, lastEventId = "" } = this.#options;
    const [, of, id] = /^(\w+)-(\d{1,15})$/.exec(lastEventId) ?? [];
    const goesOn = of === instance && board.journal.hasAllAfter(Number(id));
    this.#isFresh = false;
    this.#unfollow = board.follow({
      loaded: () => this.#wake(),
      changed: () => this.#wake(),
      health: () => {
        this.#needsHealth = true;
        this.#wake();
      },
      startedOver: () => {
        this.#startOver();
        this.#wake();
      },
      closed: () => this.end(),
    });
    if (goesOn) [this.#at, this.#missedUpTo] = [Number(id), board.journal.latest];
    else this.#startOver();
    return this.#hello();
  }

  #startOver(): void {
    this.#needsSnapshot = true;
    this.#nextKey = undefined;
    this.#parts = [];
  }

  /** What can be sent now, up to a chunk. */
  #take(): string {
    const { board } = this.#options;
    let text = "";
    if (this.#needsHealth) {
      this.#needsHealth = false;
      text += event("health", board.health);
    }
    if (!this.#needsSnapshot && !board.journal.hasAllAfter(this.#at)) this.#startOver();
    if (this.#needsSnapshot) {
      if (!board.isLoaded) return text;
      this.#needsSnapshot = false;
      this.#nextKey = "";
      this.#at = board.journal.latest;
      // The empty id: a client that loses the connection before `ready` cannot resume.
      text += event("snapshot", board.totals, "");
    }
    if (this.#nextKey !== undefined) return text + this.#takeSnapshot(this.#nextKey);
    while (text.length < CHUNK_CHARS) {
      const entry = this.#skipToNext();
      if (entry === undefined) break;
      this.#at = entry.id;
      text += this.#change(entry);
    }
    return text;
  }

  #takeSnapshot(from: string): string {
    const { board } = this.#options;
    const page = new SnapshotPage();
    for (const key of board.keysFrom(from)) {
      const state = board.get(key);
      if (state !== undefined) page.add(state);
      this.#nextKey = after(key);
      if (page.isFull) break;
    }
    if (page.isEmpty) return this.#endSnapshot();
    const last = this.#parts.at(-1);
    const asOf = board.journal.latest;
    if (last?.asOf === asOf) last.upToKey = page.lastKey;
    else this.#parts.push({ upToKey: page.lastKey, asOf });
    return page.event();
  }

  #endSnapshot(): string {
    const { board, instance } = this.#options;
    this.#nextKey = undefined;
    this.#skipToNext();
    const past: string[] = [];
    let chars = 0;
    for (let id = this.#at; past.length < PAST_CHANGES && chars < CHUNK_CHARS; id--) {
      const entry = board.journal.get(id);
      if (entry === undefined) break;
      past.push(entry.text);
      chars += entry.text.length;
    }
    return `event: past\ndata: [${past.toReversed().join(",")}]\n\n${event("ready", board.totals, `${instance}-${this.#at}`)}`;
  }

  /** The next change to send. Earlier ones count as sent: their keys were sent later, or will be. */
  #skipToNext(): Entry | undefined {
    const { journal } = this.#options.board;
    for (let entry = journal.get(this.#at + 1); entry !== undefined; entry = journal.get(this.#at + 1)) {
      const isAsked = entry.id <= this.#missedUpTo || journal.isLatest(entry);
      if (isAsked && !this.#isInSnapshot(entry)) return entry;
      this.#at = entry.id;
    }
    return undefined;
  }

  /** Whether the latest snapshot has sent the key as of this change, or later. */
  #isInSnapshot({ id, key }: Entry): boolean {
    if (id > (this.#parts.at(-1)?.asOf ?? 0)) this.#parts = []; // nor does any later one count
    const part = this.#parts.find(({ upToKey }) => key <= upToKey);
    return part !== undefined && part.asOf >= id;
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
class SnapshotPage {
  readonly #sessions = new Map<number, readonly [session: number, host: string, pid: number]>();
  readonly #keys: string[] = [];
  #chars = 0;
  lastKey = "";

  get isEmpty(): boolean {
    return this.#keys.length === 0;
  }

  get isFull(): boolean {
    return this.#keys.length === PAGE_KEYS || this.#chars >= CHUNK_CHARS;
  }

  add({ key, since, holders }: KeyState): void {
    const held = holders.map(({ session, host, pid, since: from, meta }) => {
      if (!this.#sessions.has(session)) this.#sessions.set(session, [session, host, pid]);
      return [session, from.getTime(), meta];
    });
    const text = JSON.stringify([key, since.getTime(), held]);
    this.#keys.push(text);
    this.#chars += text.length;
    this.lastKey = key;
  }

  event(): string {
    const sessions = JSON.stringify([...this.#sessions.values()]);
    return `event: keys\ndata: {"sessions":${sessions},"keys":[${this.#keys.join(",")}]}\n\n`;
  }
}

function event(name: string, data: unknown, id?: string): string {
  return `event: ${name}\n${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`;
}
