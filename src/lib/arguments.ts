/** Checks of a caller's arguments. Each returns the value, or throws `INVALID_OPTION` with one sentence. */
import { invalid, show } from "../core/checks.ts";
import { HeartbitError } from "../core/errors.ts";

/** The options of a call. One that is not `known` is refused, since a typing error would go unnoticed. */
export function checkOptionsObject<T extends object>(options: T, known: readonly (keyof T & string)[]): T {
  if (typeof options !== "object" || options === null) {
    throw new HeartbitError("INVALID_OPTION", `The options are ${show(options)}, but must be an object.`);
  }
  const unknown = Object.keys(options).find((name) => !(known as readonly string[]).includes(name));
  if (unknown === undefined) return options;
  throw new HeartbitError(
    "INVALID_OPTION",
    `There is no option ${show(unknown)}: the options are ${known.join(", ")}.`,
  );
}

/** A signal, recognized by its members, not by its class: test environments have classes of their own. */
export function checkSignal(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal === undefined) return signal;
  if (typeof signal?.addEventListener === "function" && typeof signal.aborted === "boolean") return signal;
  throw invalid("signal", show(signal), "an AbortSignal");
}

export function checkListener<T>(listener: T): T {
  if (typeof listener !== "function") throw invalid("listener", show(listener), "a function");
  return listener;
}

/** Items called `name` that can be iterated over. A text is none. */
export function checkIterable<T>(name: string, items: Iterable<T>): Iterable<T> {
  if (typeof items === "object" && items !== null && Symbol.iterator in items) return items;
  throw invalid(name, show(items), `an iterable of ${name}, such as an array`);
}

export function checkNumber(name: string, value: unknown, least: number, most: number): number {
  if (typeof value === "number" && value >= least && value <= most) return value;
  throw invalid(name, show(value), `a number from ${least} to ${most}`);
}
