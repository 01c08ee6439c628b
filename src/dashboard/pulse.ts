/**
 * The pulse: which sessions pinged in which slot, and which did so late. It is read on request, at most once a slot for
 * all clients, and only what may have changed since. A page that nobody views costs the store nothing.
 */
import { type PingRecord, SEGMENT_WORDS, forEachSession } from "../core/bits.ts";
import { NOTHING } from "../core/selection.ts";
import type { SessionRecord } from "../core/records.ts";
import type { Slot } from "../core/slots.ts";
import { internalsOf } from "../presence/internals.ts";
import { type Context, quickly, readPages } from "../presence/context/context.ts";
import type { Board } from "./board.ts";
import { inPieces, type Pace } from "./pieces.ts";

/** How many slots the pulse goes back. */
const PULSE_SLOTS = 120;
/** A slot is read when half of it has passed, like an evaluation: by then all timely pings are there. */
const READ_AT = 0.5;
/** Processes without a key are read one by one, this many at a time. */
const LOOKUPS_MAX = 16;
/** A process that fell silent is read again in this many slots: it may have closed its presence. */
const SILENT_SLOTS = 3;
/** A view is sent in pieces of about this many characters. */
const PIECE_CHARS = 32 * 1024;

interface Row {
  readonly slot: Slot;
  readonly segment: number;
  readonly words: Int32Array;
  /** The bits that were not there when the slot was read for the first time. */
  readonly late: Int32Array;
  /** The number of the read in which it last changed. */
  read: number;
  /** As it is sent, made when it is first asked for. */
  text: string | undefined;
}

interface PulseView {
  /** Pass it back to get only changes after it. */
  readonly read: number;
  /** The slot of the latest read. */
  readonly slot: Slot;
  /** When that slot began: the store's time in ms. */
  readonly slotMs: number;
  readonly periodMs: number;
  /** In how many ms there will be something new to read. */
  readonly nextMs: number;
  /** Why the latest read failed, if it did: the data is then that of the read before. */
  readonly error?: string;
  /** The session of this dashboard. */
  readonly own: number | null;
  /** The processes that pinged recently and hold no key now. */
  readonly processes: readonly {
    readonly session: number;
    readonly host: string;
    readonly pid: number;
    /** How its last key died, if it had one; `closed`: it closed its presence; `gone`: others still hold its keys. */
    readonly ended?: string;
  }[];
  /** Bit `session % 1024` of segment `floor(session / 1024)`: base64 of 32 words of 32 bits, the least first. */
  readonly pings: readonly {
    readonly slot: Slot;
    readonly segment: number;
    readonly bits: string;
    readonly late?: string;
  }[];
}

export class Pulse {
  readonly #board: Board;
  readonly #pace: Pace;
  readonly #context: Context;
  readonly #rows = new Map<string, Row>();
  /** The slots that were read after all timely pings. */
  readonly #looked = new Set<Slot>();
  /** The sessions that were read, with the slot of that; without a record if there is no such session. */
  readonly #asked = new Map<number, { readonly at: Slot; readonly record: SessionRecord | undefined }>();
  #reads = 0;
  #slot: Slot = -Infinity;
  #phase = -Infinity;
  #error: string | undefined;
  #reading: Promise<void> | undefined;

  constructor(board: Board, pace: Pace) {
    this.#board = board;
    this.#pace = pace;
    this.#context = internalsOf(board.presence);
  }

  /**
   * A `PulseView` as JSON, with the changes after the read with this number; everything if it is 0, or a number of an
   * earlier server that has not come yet. Never rejects because of the store.
   */
  async view(after: number): Promise<ReadableStream<Uint8Array>> {
    const known = after > this.#reads ? 0 : after;
    if (phaseAt(this.#context.time.position) > this.#phase) await this.#readOnce();
    const pieces = this.#piecesAfter(known);
    return inPieces(this.#pace, async () => pieces.next().value ?? undefined);
  }

  /** Pings that come between two pieces come with the next view, too. */
  *#piecesAfter(known: number): Generator<string, void> {
    const { time, periodMs } = this.#context;
    const about: Omit<PulseView, "pings"> = {
      read: this.#reads,
      slot: this.#slot,
      slotMs: time.at(this.#slot),
      periodMs,
      nextMs: Math.round(time.until(phaseAt(time.position) + 1 + READ_AT)),
      ...(this.#error === undefined ? {} : { error: this.#error }),
      own: this.#board.presence.session ?? null,
      processes: this.#processes(),
    };
    const rows = [...this.#rows.values()].filter(({ read }) => read > known);
    let piece = `${JSON.stringify(about).slice(0, -1)},"pings":[`;
    for (const [at, row] of rows.entries()) {
      row.text ??= JSON.stringify(toView(row));
      piece += at === 0 ? row.text : `,${row.text}`;
      if (piece.length < PIECE_CHARS) continue;
      yield piece;
      piece = "";
    }
    yield `${piece}]}`;
  }

  #readOnce(): Promise<void> {
    this.#reading ??= this.#read()
      .then(
        () => (this.#error = undefined),
        (error: unknown) => {
          this.#error = error instanceof Error ? error.message : String(error);
        },
      )
      .then(() => (this.#reading = undefined));
    return this.#reading;
  }

  async #read(): Promise<void> {
    const { namespace, time } = this.#context;
    const { slot, position } = time;
    const oldest = slot - PULSE_SLOTS + 1;
    const records = await quickly(
      this.#context,
      "read pings",
      namespace.pings(Math.max(oldest, this.#slot - 1)),
    );
    this.#reads++;
    for (const record of records) this.#add(record);
    for (const [id, row] of this.#rows) if (row.slot < oldest) this.#rows.delete(id);
    for (const looked of this.#looked) if (looked < oldest) this.#looked.delete(looked);
    if (position - slot >= READ_AT) this.#looked.add(slot);
    this.#slot = slot;
    this.#phase = phaseAt(position);
    await this.#lookUp();
  }

  #add({ slot, segment, words }: PingRecord): void {
    const id = `${slot}/${segment}`;
    let row = this.#rows.get(id);
    if (row === undefined) {
      row = {
        slot,
        segment,
        words: new Int32Array(SEGMENT_WORDS),
        late: new Int32Array(SEGMENT_WORDS),
        read: 0,
        text: undefined,
      };
      this.#rows.set(id, row);
    }
    const isLate = this.#looked.has(slot);
    for (let at = 0; at < SEGMENT_WORDS; at++) {
      const fresh = (words[at] ?? 0) & ~(row.words[at] ?? 0);
      if (fresh === 0) continue;
      row.words[at] = (row.words[at] ?? 0) | fresh;
      if (isLate) row.late[at] = (row.late[at] ?? 0) | fresh;
      row.read = this.#reads;
      row.text = undefined;
    }
  }

  /** The visible sessions that hold no key, with the slot of their latest ping. */
  #keyless(): Map<number, Slot> {
    const sessions = new Map<number, Slot>();
    const seen = new Map<number, Int32Array>();
    // From the latest slot back, so that each session, which is in most slots, is looked at once.
    for (const { slot, segment, words } of [...this.#rows.values()].toSorted((a, b) => b.slot - a.slot)) {
      const all = seen.get(segment) ?? new Int32Array(SEGMENT_WORDS);
      const fresh = words.map((word, at) => word & ~(all[at] ?? 0));
      words.forEach((word, at) => (all[at] = (all[at] ?? 0) | word));
      seen.set(segment, all);
      forEachSession({ slot, segment, words: fresh }, (session) => {
        if ((this.#board.processes.get(session)?.keys ?? 0) === 0) sessions.set(session, slot);
      });
    }
    return sessions;
  }

  /** Reads the processes that ping but were never seen to hold a key, such as this one, and how such a one ended. */
  async #lookUp(): Promise<void> {
    const keyless = this.#keyless();
    for (const session of this.#asked.keys()) if (!keyless.has(session)) this.#asked.delete(session);
    const wanted = [...keyless].filter(([session, pinged]) => this.#mustLookUp(session, pinged));
    for (const [session] of wanted.slice(-LOOKUPS_MAX)) {
      for await (const page of readPages(this.#context, { select: NOTHING, session })) {
        this.#asked.set(session, {
          at: this.#slot,
          record: page.sessions.find(({ seq }) => seq === session),
        });
      }
    }
  }

  #mustLookUp(session: number, pinged: Slot): boolean {
    const process = this.#board.processes.get(session);
    if (process?.cause !== undefined) return false; // which says how it ended
    const isSilent = pinged < (this.#looked.has(this.#slot) ? this.#slot : this.#slot - 1);
    const asked = this.#asked.get(session);
    if (asked === undefined) return process === undefined || isSilent;
    const isOpen = asked.record !== undefined && asked.record.last === undefined;
    return isSilent && isOpen && asked.at <= pinged + SILENT_SLOTS;
  }

  #processes(): PulseView["processes"] {
    return [...this.#keyless().keys()].flatMap((session) => {
      const process = this.#board.processes.get(session);
      const record = this.#asked.get(session)?.record;
      const { host, pid } = process ?? record ?? {};
      if (host === undefined || pid === undefined) return [];
      const isClosed = record?.last !== undefined;
      const ended = process?.cause ?? (isClosed ? "closed" : process && "gone");
      return [{ session, host, pid, ...(ended === undefined ? {} : { ended }) }];
    });
  }
}

/** Counts the moments at which there is something new to read. */
function phaseAt(position: number): number {
  return Math.floor(position - READ_AT);
}

function toView({ slot, segment, words, late }: Row): PulseView["pings"][number] {
  const anyLate = late.some((word) => word !== 0);
  return { slot, segment, bits: base64(words), ...(anyLate ? { late: base64(late) } : {}) };
}

function base64(words: Int32Array): string {
  const bytes = Buffer.alloc(words.length * 4);
  words.forEach((word, at) => bytes.writeInt32LE(word, at * 4));
  return bytes.toString("base64");
}
