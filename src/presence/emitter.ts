/** Typed events. A listener that throws is reported and hurts nobody else; no event ends the process. */
import { checkListener } from "./options.ts";

/** What an event calls. A promise that it returns is not waited for; its rejection is reported like a throw. */
export type Listener<Args extends readonly unknown[]> = (...args: Args) => void;

/** @internal */
export class Emitter<Events extends { [name in keyof Events]: readonly unknown[] }> {
  readonly #listeners = new Map<keyof Events, { listener: unknown; once: boolean }[]>();
  readonly #report: (error: unknown, event: string) => void;

  constructor(report: (error: unknown, event: string) => void) {
    this.#report = report;
  }

  /** Throws `INVALID_OPTION` for what is no function. */
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>, once = false): void {
    const others = this.#listeners.get(name) ?? [];
    this.#listeners.set(name, [...others, { listener: checkListener(listener), once }]);
  }

  /** Removes the listener once, where it was added most lately. */
  off<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): void {
    const listeners = this.#listeners.get(name) ?? [];
    const at = listeners.findLastIndex((added) => added.listener === listener);
    if (at >= 0) this.#listeners.set(name, listeners.toSpliced(at, 1));
  }

  emit<Name extends keyof Events>(name: Name, ...args: Events[Name]): void {
    for (const added of this.#listeners.get(name) ?? []) {
      const listener = added.listener as Listener<Events[Name]>;
      if (added.once) this.off(name, listener);
      callSafely(listener, args, (error) => this.#report(error, String(name)));
    }
  }
}

/** @internal Calls a caller's function; what it throws, or rejects with, goes to `report`. */
export function callSafely<Args extends readonly unknown[]>(
  callee: (...args: Args) => unknown,
  args: Args,
  report: (error: unknown) => void,
): void {
  try {
    const result: unknown = callee(...args);
    if (isThenable(result)) result.then(undefined, report);
  } catch (error) {
    report(error);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
