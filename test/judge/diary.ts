/** Writes the log that the judge reads, as things happen. */
import type { Counts, Fault, Life, Line, Log } from "./log.ts";

type Unstamped<Stamped> = Stamped extends { readonly t: number } ? Omit<Stamped, "t"> : never;
type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

/** The log of one life of one process. */
export class LifeDiary {
  readonly life: Mutable<Life>;
  readonly #lines: Line[] = [];
  readonly #now: () => number;

  constructor(name: string, life: number, now: () => number) {
    this.#now = now;
    this.life = { name, life, from: now(), to: Infinity, how: "lives", lines: this.#lines };
  }

  note(line: Unstamped<Line>): void {
    this.#lines.push({ t: this.#now(), ...line });
  }

  end(how: "crashed" | "closed"): void {
    this.life.to = this.#now();
    this.life.how = how;
  }
}

export class Diary {
  readonly #now: () => number;
  readonly #lives: LifeDiary[] = [];
  readonly #faults: Mutable<Fault>[] = [];
  readonly #counts: Counts[] = [];

  constructor(now: () => number) {
    this.#now = now;
  }

  born(name: string, life: number): LifeDiary {
    const diary = new LifeDiary(name, life, this.#now);
    this.#lives.push(diary);
    return diary;
  }

  /** A fault that begins now, or has begun. It lasts until its `to` is set. */
  fault(fault: Omit<Fault, "from" | "to">, from = this.#now()): Mutable<Fault> {
    const begun = { ...fault, from, to: Infinity };
    this.#faults.push(begun);
    return begun;
  }

  /** A fault of a moment. */
  event(fault: Omit<Fault, "from" | "to">): void {
    this.fault(fault).to = this.#now();
  }

  count(counts: Omit<Counts, "t">): void {
    this.#counts.push({ t: this.#now(), ...counts });
  }

  /** All of it, up to now. */
  log(settings: Pick<Log, "periodMs" | "retentionSlots" | "roundTripMs" | "reconnectMs">): Log {
    return {
      ...settings,
      faults: this.#faults,
      lives: this.#lives.map(({ life }) => life),
      counts: this.#counts,
      from: 0,
      to: this.#now(),
    };
  }
}
