/** Which session pinged in which slot, as the page draws it. The bits are those stored: see src/core/bits.ts. */
import { type Bits, forEachSession, hasBit } from "../../../src/core/bits.ts";

/** As the server sends it: see docs/dashboard.md. */
export interface PulsePage {
  readonly read: number;
  readonly slot: number;
  readonly slotMs: number;
  readonly periodMs: number;
  readonly nextMs: number;
  readonly error?: string;
  readonly own: number | null;
  readonly processes: readonly PulseProcess[];
  readonly pings: readonly { slot: number; segment: number; bits: string; late?: string }[];
}

export interface PulseProcess {
  readonly session: number;
  readonly host: string;
  readonly pid: number;
  readonly ended?: string;
}

export type Cell = "none" | "ping" | "late" | "missed" | "outage" | "due";

/** A crash is reported after at most this many periods in which somebody has pinged. */
const SILENT_SLOTS = 3;

interface Ping extends Bits {
  readonly late: Bits | undefined;
}

export class Pulse {
  /** The latest page from the server; undefined before the first. */
  latest: PulsePage | undefined;
  readonly #slots = new Map<number, Map<number, Ping>>();
  readonly #processes = new Map<number, PulseProcess>();

  take(page: PulsePage, slots: number): void {
    if (this.latest !== undefined && page.read < this.latest.read) this.clear(); // it is another server
    this.latest = page;
    for (const { slot, segment, bits, late } of page.pings) {
      const segments = this.#slots.get(slot) ?? new Map<number, Ping>();
      const record = late === undefined ? undefined : { slot, segment, words: decode(late) };
      this.#slots.set(slot, segments.set(segment, { slot, segment, words: decode(bits), late: record }));
    }
    for (const slot of this.#slots.keys()) if (slot <= page.slot - slots) this.#slots.delete(slot);
    this.#processes.clear();
    for (const process of page.processes) this.#processes.set(process.session, process);
  }

  clear(): void {
    this.latest = undefined;
    this.#slots.clear();
    this.#processes.clear();
  }

  /** A process that holds no key now. */
  process(session: number): PulseProcess | undefined {
    return this.#processes.get(session);
  }

  /** All sessions that pinged recently, in order. */
  sessions(): number[] {
    const sessions = new Set<number>();
    for (const segments of this.#slots.values()) {
      for (const ping of segments.values()) forEachSession(ping, (session) => sessions.add(session));
    }
    return [...sessions].toSorted((a, b) => a - b);
  }

  /** Whether nobody pinged in the slot, so that it does not count. */
  isEmpty(slot: number): boolean {
    return !this.#slots.has(slot);
  }

  /** What the session did in the last `count` slots, oldest first. If it has `ended`, later pings are not missed. */
  cells(session: number, count: number, ended = false): Cell[] {
    const { slot: latest = 0 } = this.latest ?? {};
    const pinged: boolean[] = [];
    for (let slot = latest - count + 1; slot <= latest; slot++) pinged.push(this.#has(slot, session));
    const first = pinged.indexOf(true);
    const last = pinged.lastIndexOf(true);
    let silent = 0;
    return pinged.map((has, at) => {
      const slot = latest - count + 1 + at;
      if (has) {
        // A session that joins in the second half of a slot is not late for it.
        const isJoin = at === first && !this.#has(slot - 1, session);
        return !isJoin && this.#isLate(slot, session) ? "late" : "ping";
      }
      if (at < first || first < 0 || (at > last && ended)) return "none";
      const isOutage = this.isEmpty(slot);
      if (at > last && slot !== latest && !isOutage) silent++;
      // A session that has been silent for so long is dead: no more pings are expected.
      if (silent > SILENT_SLOTS) return "none";
      if (slot === latest) return silent === SILENT_SLOTS ? "none" : "due";
      return isOutage ? "outage" : "missed";
    });
  }

  #has(slot: number, session: number): boolean {
    const ping = this.#slots.get(slot)?.get(Math.floor(session / 1024));
    return ping !== undefined && hasBit(ping, session);
  }

  #isLate(slot: number, session: number): boolean {
    const late = this.#slots.get(slot)?.get(Math.floor(session / 1024))?.late;
    return late !== undefined && hasBit(late, session);
  }
}

function decode(text: string): Int32Array {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Int32Array.from({ length: bytes.length / 4 }, (_, at) => view.getInt32(at * 4, true));
}
