/** Typed events. An error thrown by a listener is reported, and does not affect other listeners or end the process. */
import { callSafely } from "./call-safely.ts";
import { checkListener } from "./arguments.ts";
import type { Logger } from "./log.ts";

/** A listener of an event. A promise that it returns is not awaited; its rejection is handled like a throw. */
export type Listener<Args extends readonly unknown[]> = (...args: Args) => void;

interface Added {
  readonly listener: unknown;
  readonly once: boolean;
}

/** @internal Receives what a listener has thrown. */
export type ReportOfListener = (error: unknown, event: string, of: string) => void;

/** @internal */
export class Emitter<Events extends { [name in keyof Events]: readonly unknown[] }> {
  /** Undefined until there is one: a gateway has 100,000 pingers. */
  #listeners: Map<keyof Events, readonly Added[]> | undefined;
  readonly #report: ReportOfListener;
  readonly #of: string;

  /** Passes what a listener throws to `report`, with the event's name and `of`. Many emitters may share it. */
  constructor(report: ReportOfListener, of = "") {
    this.#report = report;
    this.#of = of;
  }

  /** Throws `INVALID_OPTION` if the listener is not a function. */
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>, once = false): void {
    const others = this.#listeners?.get(name) ?? [];
    (this.#listeners ??= new Map<keyof Events, readonly Added[]>()).set(name, [
      ...others,
      { listener: checkListener(listener), once },
    ]);
  }

  /** Removes the listener once, where it was added last. */
  off<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): void {
    this.#remove(
      name,
      this.#listeners?.get(name)?.findLast((added) => added.listener === listener),
    );
  }

  emit<Name extends keyof Events>(name: Name, ...args: Events[Name]): void {
    for (const added of this.#listeners?.get(name) ?? []) {
      // Another listener has removed it, or emitted the same event.
      if (added.once ? !this.#remove(name, added) : !this.#has(name, added)) continue;
      const listener = added.listener as Listener<Events[Name]>;
      callSafely(listener, args, (error) => this.#report(error, String(name), this.#of));
    }
  }

  #has(name: keyof Events, added: Added): boolean {
    return this.#listeners?.get(name)?.includes(added) === true;
  }

  /** Removes this entry only: the same listener may be there several times. Returns whether it was there. */
  #remove(name: keyof Events, gone: Added | undefined): boolean {
    const listeners = this.#listeners?.get(name) ?? [];
    const others = listeners.filter((added) => added !== gone);
    this.#listeners?.set(name, others);
    return others.length < listeners.length;
  }
}

/** @internal Events of which the log gets the errors that listeners throw. */
export function loggedEvents<Events extends { [name in keyof Events]: readonly unknown[] }>(
  log: Logger,
): Emitter<Events> {
  return new Emitter((error, event) => log.error(`a listener of ${event} threw`, error));
}

/** What a presence, a pinger and a watcher have in common: events. */
export class Subscribable<Events extends { [name in keyof Events]: readonly unknown[] }> {
  readonly #emitter: Emitter<Events>;

  /** @internal */
  constructor(emitter: Emitter<Events>) {
    this.#emitter = emitter;
  }

  /** Calls the listener at each event, until `off`. Errors that it throws or rejects with are logged. */
  on<Name extends keyof Events>(event: Name, listener: Listener<Events[Name]>): this {
    this.#emitter.on(event, listener);
    return this;
  }

  /** Calls the listener at the next event only. */
  once<Name extends keyof Events>(event: Name, listener: Listener<Events[Name]>): this {
    this.#emitter.on(event, listener, true);
    return this;
  }

  /** Stops calling the listener; if it was added several times, it is called once less. */
  off<Name extends keyof Events>(event: Name, listener: Listener<Events[Name]>): this {
    this.#emitter.off(event, listener);
    return this;
  }
}
