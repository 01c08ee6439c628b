import { checkKey, checkPrefix, invalid, show } from "./checks.ts";
import { Prefixes } from "./prefixes.ts";

/** A set of keys: by name, by prefix, or all. */
export interface Selection {
  /** Every key is selected. */
  readonly all: boolean;
  /** These keys are selected. */
  readonly keys: ReadonlySet<string>;
  /** Keys with these prefixes are selected. */
  readonly prefixes: ReadonlySet<string>;
}

/** What a caller watches: a key, all keys with a prefix, or all. */
export type WatchTarget = string | { readonly prefix: string } | { readonly all: true };

/** @internal Returns the target, or throws `INVALID_KEY`, `INVALID_OPTION`. */
export function checkTarget(target: unknown): WatchTarget {
  if (typeof target === "string") return checkKey(target);
  if (typeof target === "object" && target !== null) {
    if ("prefix" in target) return { prefix: checkPrefix(target.prefix) };
    if ("all" in target && target.all === true) return { all: true };
  }
  throw invalid("target", show(target), "a key, { prefix } or { all: true }");
}

/** @internal */
export const NOTHING: Selection = { all: false, keys: new Set(), prefixes: new Set() };
/** @internal */
export const EVERYTHING: Selection = { all: true, keys: new Set(), prefixes: new Set() };

/** @internal The prefix that a target selects: empty for all keys. Undefined if it is one key. */
export function prefixOf(target: WatchTarget): string | undefined {
  if (typeof target === "string") return undefined;
  return "prefix" in target ? target.prefix : "";
}

/** @internal A text that is the same for targets that select the same keys. */
export function nameOf(target: WatchTarget): string {
  if (typeof target === "string") return `key ${target}`;
  const prefix = prefixOf(target);
  return prefix ? `prefix ${prefix}` : "all";
}

/** @internal The target as it appears in a message. */
export function showTarget(target: WatchTarget): string {
  if (typeof target === "string") return `the key ${show(target)}`;
  return "prefix" in target ? `the prefix ${show(target.prefix)}` : "all keys";
}

/** @internal The smallest selection with all the targets. */
export function select(targets: Iterable<WatchTarget>): Selection {
  const keys = new Set<string>();
  const prefixes = new Prefixes();
  let all = false;
  for (const target of targets) {
    const prefix = prefixOf(target);
    if (typeof target === "string") keys.add(target);
    else if (prefix) prefixes.add(prefix);
    else all = true;
  }
  return all ? EVERYTHING : { all, keys, prefixes };
}

/** @internal A copy that does not change. It selects everything if there are more than `most` keys and prefixes. */
export function copyOf({ all, keys, prefixes }: Selection, most = Infinity): Selection {
  if (all || keys.size + prefixes.size > most) return EVERYTHING;
  return { all, keys: new Set(keys), prefixes: new Prefixes(prefixes) };
}

/** @internal */
export function isEmptySelection(selection: Selection): boolean {
  return !selection.all && selection.keys.size === 0 && selection.prefixes.size === 0;
}

/** @internal Whether the key is selected. */
export function includesKey(selection: Selection, key: string): boolean {
  return selection.all || selection.keys.has(key) || isCovered(selection, key);
}

/** @internal Whether all keys with the prefix are selected by prefixes. */
export function includesPrefix(selection: Selection, prefix: string): boolean {
  return selection.all || (prefix !== "" && isCovered(selection, prefix));
}

/** @internal Whether `have` includes everything in `wanted`. */
export function includesAll(have: Selection, wanted: Selection): boolean {
  if (have.all) return true;
  if (wanted.all) return false;
  for (const prefix of wanted.prefixes) if (!includesPrefix(have, prefix)) return false;
  for (const key of wanted.keys) if (!includesKey(have, key)) return false;
  return true;
}

/** @internal The part of `wanted` that `have` does not include. */
export function missingFrom(have: Selection, wanted: Selection): Selection {
  if (have.all) return NOTHING;
  if (wanted.all) return EVERYTHING;
  return {
    all: false,
    keys: new Set([...wanted.keys].filter((key) => !includesKey(have, key))),
    prefixes: new Prefixes([...wanted.prefixes].filter((prefix) => !includesPrefix(have, prefix))),
  };
}

/** @internal The same keys, without keys and prefixes that another prefix covers. */
export function withoutOverlap({ all, keys, prefixes }: Selection): Selection {
  const widest = new Prefixes(prefixes);
  for (const prefix of prefixes)
    for (const other of widest.of(prefix)) if (other !== prefix) widest.delete(prefix);
  return { all, keys: new Set([...keys].filter((key) => !widest.covers(key))), prefixes: widest };
}

function isCovered({ prefixes }: Selection, text: string): boolean {
  if (prefixes instanceof Prefixes) return prefixes.covers(text);
  for (const prefix of prefixes) if (text.startsWith(prefix)) return true;
  return false;
}

/**
 * @internal The least string greater than every string with the prefix, in the order of code points (which is the order
 * of UTF-8 bytes, and so the database's). Undefined if there is none: a prefix that consists of U+10FFFF only.
 */
export function prefixEnd(prefix: string): string | undefined {
  const points = Array.from(prefix, (char) => char.codePointAt(0) ?? 0);
  for (let point = points.pop(); point !== undefined; point = points.pop()) {
    if (point === 0x10ffff) continue;
    const next = point === 0xd7ff ? 0xe000 : point + 1; // no code point is a surrogate
    return String.fromCodePoint(...points, next);
  }
  return undefined;
}

/** @internal Less than 0 if `a` comes before `b` in the order of code points. (JavaScript compares UTF-16 units.) */
export function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const [x, y] = [a.charCodeAt(at), b.charCodeAt(at)];
    // Surrogates stand for code points above all others.
    if (x !== y) return isHalf(x) === isHalf(y) ? x - y : isHalf(x) ? 1 : -1;
  }
  return a.length - b.length;
}

function isHalf(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff;
}
