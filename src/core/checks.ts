/** The keys and metas that a caller passes in, and that others have stored. */
import { HeartbitError } from "./errors.ts";

/** The longest key, in bytes of UTF-8. Every store's index has room for it. */
const KEY_BYTES_MAX = 1024;
/** The largest meta, in bytes of its JSON as UTF-8. */
export const META_BYTES_MAX = 16 * 1024;
const META_DEPTH_MAX = 100;

const utf8 = new TextEncoder();

/** Returns the key, or throws `INVALID_KEY`. */
export function checkKey(key: unknown): string {
  if (typeof key !== "string") throw invalidKey(`${show(key)} is not a string`);
  if (key === "") throw invalidKey("it is empty");
  if (!isWellFormed(key)) throw invalidKey(`${show(key)} has a lone surrogate, which UTF-8 cannot hold`);
  const bytes = key.length > KEY_BYTES_MAX ? key.length : utf8.encode(key).length;
  if (bytes > KEY_BYTES_MAX) {
    throw invalidKey(`${show(key)} has ${bytes} bytes of UTF-8 or more, the limit is ${KEY_BYTES_MAX}`);
  }
  return key;
}

/** Returns the prefix, or throws `INVALID_KEY`. The empty prefix means all keys. */
export function checkPrefix(prefix: unknown): string {
  return prefix === "" ? prefix : checkKey(prefix);
}

/**
 * Returns the meta as JSON text, or throws `INVALID_META`. Plain data is what JSON can hold: null, booleans, finite
 * numbers, strings, arrays and plain objects of these. A property that is undefined counts as absent.
 */
export function encodeMeta(meta: unknown): string {
  if (meta === undefined) return "null";
  const text = textOf(meta);
  if (text === undefined) throw invalidMeta("it has no JSON form");
  const bytes = utf8.encode(text).length;
  if (bytes > META_BYTES_MAX) {
    throw invalidMeta(`it has ${bytes} bytes as JSON, the limit is ${META_BYTES_MAX}`);
  }
  return text;
}

/** Undefined if a built-in prototype was given a `toJSON`. */
function textOf(meta: unknown): string | undefined {
  try {
    checkPlain(meta, "meta", new Set());
    return JSON.stringify(meta);
  } catch (error) {
    if (error instanceof HeartbitError) throw error;
    throw invalidMeta(`reading it failed: ${String(error)}`, error); // by a getter, or a proxy
  }
}

/**
 * The value of a stored meta; null if it is not JSON. Any program may have written it, and listeners and lists must not
 * fail because of one holder.
 */
export function decodeMeta(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

function checkPlain(value: unknown, path: string, within: Set<object>): void {
  if (value === null || typeof value === "boolean" || typeof value === "string") return;
  if (typeof value === "number" && Number.isFinite(value)) return;
  if (typeof value !== "object") throw invalidMeta(`${path} is ${show(value)}, which JSON cannot hold`);
  if (within.has(value)) throw invalidMeta(`${path} contains itself`);
  if (within.size === META_DEPTH_MAX) throw invalidMeta(`it is nested deeper than ${META_DEPTH_MAX}`);
  // JSON would use its `toJSON`, whose result is not checked here, and may be undefined.
  if ("toJSON" in value) throw invalidMeta(`${path} ${describeToJson(value)}`);
  within.add(value);
  if (Array.isArray(value)) {
    // Not forEach, which skips holes: JSON would turn them into null.
    for (let index = 0; index < value.length; index++) checkPlain(value[index], `${path}[${index}]`, within);
  } else {
    const prototype: unknown = Object.getPrototypeOf(value);
    const isPlain = prototype === null || Object.getPrototypeOf(prototype) === null;
    if (!isPlain) throw invalidMeta(`${path} is not a plain object`);
    for (const [name, item] of Object.entries(value)) {
      if (item !== undefined) checkPlain(item, `${path}.${name}`, within);
    }
  }
  within.delete(value);
}

function describeToJson(value: object): string {
  // By its tag: test environments have classes of their own.
  const isDate = Object.prototype.toString.call(value) === "[object Date]";
  return isDate
    ? "is a Date, which would come back as a string: pass its toISOString() or its getTime()"
    : "has a toJSON, so it is not plain data";
}

/** A value as it appears in a message: short, whatever it is. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === "number" || typeof value === "boolean" || value === null || value === undefined) {
    return String(value);
  }
  return Array.isArray(value) ? "an array" : `a value of type ${typeof value}`;
}

/** The error for an option `name` whose value (as shown) is `value`, but must be `wanted`. */
export function invalid(name: string, value: string, wanted: string): HeartbitError {
  return new HeartbitError("INVALID_OPTION", `The option ${name} is ${value}, but must be ${wanted}.`);
}

function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}

function invalidKey(why: string): HeartbitError {
  return new HeartbitError(
    "INVALID_KEY",
    `A key must be a non-empty string of at most ${KEY_BYTES_MAX} bytes of UTF-8: ${why}.`,
  );
}

function invalidMeta(why: string, cause?: unknown): HeartbitError {
  const message = `A meta must be plain data of at most 16 KiB of JSON: ${why}.`;
  return new HeartbitError("INVALID_META", message, { cause });
}
