/** The processes that hold keys, or held some recently: they name the sessions whose bits the pulse draws. */
import type { Change, Holder } from "../core/change.ts";

export interface Process {
  readonly session: number;
  readonly host: string;
  readonly pid: number;
  keys: number;
  /** How its latest dead key died. Absent if none has: others may still hold a key that it left. */
  cause?: Change["cause"];
  /** When it left its last key: the store's time in ms. Absent while it holds some. */
  endedMs?: number;
}

export class Processes {
  readonly #bySession = new Map<number, Process>();

  get(session: number): Process | undefined {
    return this.#bySession.get(session);
  }

  /** The holders of a key have changed. */
  change(before: readonly Holder[], now: readonly Holder[], cause: Change["cause"], at: Date): void {
    for (const { session, host, pid } of now) {
      const process = this.#bySession.get(session) ?? { session, host, pid, keys: 0 };
      this.#bySession.set(session, process);
      process.keys++;
      delete process.endedMs;
    }
    for (const { session } of before) {
      const process = this.#bySession.get(session);
      if (process === undefined) continue;
      process.keys--;
      if (now.length === 0) process.cause = cause;
      if (process.keys === 0) process.endedMs = at.getTime();
    }
  }

  forgetBefore(ms: number): void {
    for (const [session, { endedMs = Infinity }] of this.#bySession) {
      if (endedMs < ms) this.#bySession.delete(session);
    }
  }
}
