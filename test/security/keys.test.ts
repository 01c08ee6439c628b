import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Presence } from "../../src/index.ts";
import { backends, World } from "../support/backends.ts";

/** What some part of a store might take for more than text. */
const ODD_KEYS = [
  "$key",
  "$$ROOT",
  "$where",
  "$",
  "a.b",
  ".",
  "..",
  "a.$.b",
  "a.$[]",
  "\0",
  "a\0b",
  "a\0",
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "presence.meta",
  "presence.records",
  "system.users",
  "config",
  "sessions",
  "_id",
  "null",
  "undefined",
  "NaN",
  "0",
  "-0",
  "1e3",
  "[object Object]",
  ".*",
  "^a",
  "a$",
  "(a|b)",
  "[a-z]",
  "\\d",
  "a+",
  "/./",
  '{"$gt":""}',
  "'; return true; //",
  "../../etc/passwd",
  "%00",
  "%2e",
  " ",
  "\n",
  "\u2028",
  "\u202e",
  "\ufeff",
  "\ufffd",
  "\uffff",
  "\u{10ffff}",
  "\ud7ff",
  "\ue000",
  "é",
  "e\u0301",
  "K".repeat(1024),
  "é".repeat(512),
  "\u{1f600}".repeat(256),
  "\0".repeat(1024),
];

const ODD_METAS: unknown[] = [
  { $set: 1 },
  { $where: "1" },
  { $$ROOT: 1, "a.b": { $gt: "" } },
  { "": 1, "\0": 2, "a\0b": 3 },
  JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}'),
  { toString: 1, hasOwnProperty: 2, _id: 3, last: 0, slot: 1e15 },
  "\ud800",
  { "\udc00": "\ud800 and \udfff" },
  "$meta",
  ["$in", { $each: [] }],
  { $numberLong: "1" },
  { _bsontype: "ObjectId", id: "x" },
  null,
  false,
  0,
  "",
  [],
  {},
  "m".repeat(16 * 1024 - 2),
];

const key = fc.oneof(
  fc.constantFrom(...ODD_KEYS),
  fc.string({ unit: "binary", minLength: 1, maxLength: 40 }),
  fc
    .array(fc.constantFrom(...ODD_KEYS.filter(({ length }) => length < 20)), { minLength: 1, maxLength: 4 })
    .map((parts) => parts.join("")),
);
const meta = fc.oneof(fc.constantFrom(...ODD_METAS), fc.jsonValue());

interface Heard {
  readonly key: string;
  readonly alive: boolean;
  readonly meta: unknown;
}

/** What a watcher of its own tells at first of the target. */
async function initially(presence: Presence, target: string | { prefix: string }): Promise<Heard[]> {
  const watcher = presence.watcher();
  const heard: Heard[] = [];
  watcher.watch(target, ({ key: told, alive, holders }) => {
    heard.push({ key: told, alive, meta: holders[0]?.meta });
  });
  await watcher.sync();
  await watcher.stop();
  return heard.toSorted(byKey);
}

const byKey = (a: { key: string }, b: { key: string }): number =>
  Buffer.compare(Buffer.from(a.key), Buffer.from(b.key));

const text = (value: unknown): string => JSON.stringify(value);

describe.each(backends)("on $name", (backend) => {
  it("keys and metas come out as they went in: by watching, by listing, by key, by prefix", async () => {
    await using world = await World.of(backend, { periodMs: 5000 });
    const [holder, observer] = [await world.open(), await world.open()];
    const metas = new Map<string, unknown>();
    const check = async (entries: (readonly [string, unknown])[]): Promise<void> => {
      const added = entries.filter(([one]) => !metas.has(one));
      for (const [one, value] of added) metas.set(one, value);
      await Promise.all(added.map(([one, value]) => holder.pinger(one, { meta: value }).start()));
      const [first] = entries;
      if (first === undefined) return;
      const expected = (of: (one: string) => boolean): string =>
        text(
          [...metas]
            .filter(([one]) => of(one))
            .map(([one, value]) => ({ key: one, alive: true, meta: value }))
            .toSorted(byKey),
        );
      const start = String.fromCodePoint(first[0].codePointAt(0) ?? 0);
      expect(text(await initially(observer, first[0]))).toBe(expected((one) => one === first[0]));
      expect(text(await initially(observer, { prefix: start }))).toBe(
        expected((one) => one.startsWith(start)),
      );
      const listed = async (query: { key?: string; prefix?: string }): Promise<string> => {
        const { keys } = await observer.list(query);
        const states = keys.map((state) => ({
          key: state.key,
          alive: state.alive,
          meta: state.holders[0]?.meta,
        }));
        return text(states.toSorted(byKey));
      };
      expect(await listed({ key: first[0] })).toBe(expected((one) => one === first[0]));
      expect(await listed({ prefix: start })).toBe(expected((one) => one.startsWith(start)));
      expect(await listed({})).toBe(expected(() => true));
    };
    await check(ODD_KEYS.map((one, index) => [one, ODD_METAS[index % ODD_METAS.length]] as const));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(key, meta), { minLength: 1, maxLength: 5 }), check),
      { numRuns: 10, endOnFailure: true }, // what went before is part of the run
    );
    expect(Reflect.get({}, "polluted")).toBeUndefined();
  });

  it("killing a key kills that key alone, whatever its name might mean", async () => {
    await using world = await World.of(backend, { periodMs: 5000 });
    const presence = await world.open();
    const keys = [".*", "$where", '{"$gt":""}', "__proto__", "a", "a\0b", "a.b", "aa"];
    await Promise.all(keys.map((one) => presence.pinger(one).start()));
    for (const victim of keys) {
      const other = await world.open();
      await other.pinger("other").start();
      expect(await other.kill(victim), victim).toBe(1);
      const { keys: left } = await other.list({ key: "other" });
      expect(left.map(({ alive }) => alive)).toEqual([true]);
      await other.close();
    }
    expect(await presence.kill("absent")).toBe(0);
  });

  it("what UTF-8 cannot hold, and what is too long, is refused", async () => {
    await using world = await World.of(backend);
    const presence = await world.open();
    const refused = [
      "",
      "\ud800",
      "a\udc00",
      "\udc00\ud800",
      "K".repeat(1025),
      "é".repeat(513),
      5,
      null,
      {},
      ["a"],
    ];
    for (const one of refused as string[]) {
      expect(() => presence.pinger(one)).toThrow(expect.objectContaining({ code: "INVALID_KEY" }) as Error);
      await expect(presence.kill(one)).rejects.toMatchObject({ code: "INVALID_KEY" });
      if (one !== "")
        await expect(presence.list({ prefix: one })).rejects.toMatchObject({ code: "INVALID_KEY" });
    }
    const nested: unknown[] = [];
    let at = nested;
    for (let depth = 0; depth < 200; depth++) at.push((at = []));
    for (const one of [() => 1, Symbol("s"), 1n, NaN, new Date(), new Map(), nested, "m".repeat(16 * 1024)]) {
      expect(() => presence.pinger("key", { meta: one })).toThrow(
        expect.objectContaining({ code: "INVALID_META" }) as Error,
      );
    }
  });
});
