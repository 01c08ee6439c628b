/** Keys and metas that some part of a store might take for more than text. The contract has more keys. */
import { describe, expect, it } from "vitest";
import { type Holder, Presence } from "../../src/index.ts";
import { backends, World } from "../support/backends.ts";

const KEYS = [
  "$key $$ROOT $where $ a.b . .. a.$.b a.$[] .* ^a a$ (a|b) [a-z] \\d a+ /./ % %00 %2e".split(" "),
  "__proto__ constructor prototype toString hasOwnProperty [object null undefined NaN 0 -0 1e3".split(" "),
  "presence.meta presence.records system.users config sessions _id ../../etc/passwd".split(" "),
  ['{"$gt":""}', "'; return true; //", " ", "\n", "\0", "a\0b", "\u2028", "\u202e", "\ufeff", "\ufffd"],
  ["\uffff", "\u{10ffff}", "\ud7ff", "\ue000", "é", "e\u0301"],
  ["K".repeat(1024), "é".repeat(512), "\u{1f600}".repeat(256), "\0".repeat(1024)],
].flat();

const METAS: unknown[] = [
  [{ $set: 1 }, { $where: "1" }, { $$ROOT: 1, "a.b": { $gt: "" } }, ["$in", { $each: [] }], "$meta"],
  [{ $numberLong: "1" }, { _bsontype: "ObjectId", id: "x" }, { "": 1, "\0": 2, "a\0b": 3 }],
  [JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}')],
  [{ toString: 1, hasOwnProperty: 2, _id: 3, last: 0, slot: 1e15 }, { "\udc00": "\ud800 and \udfff" }],
  [null, false, 0, "", "\ud800", [], {}, "m".repeat(16 * 1024 - 2)],
].flat();

describe.each(backends)("on $name", (backend) => {
  it("keys and metas come out as they went in: by watching, by listing, by key, by prefix", async () => {
    await using world = await World.of(backend, { periodMs: 5000 });
    const [holder, observer] = [await world.open(), await world.open()];
    const held = new Map(KEYS.map((key, index) => [key, METAS[index % METAS.length]]));
    await Promise.all(Array.from(held, ([key, meta]) => holder.pinger(key, { meta }).start()));
    const expected = (isIt: (key: string) => boolean): string =>
      textOf([...held].filter(([key]) => isIt(key)));
    const listed = async (query: { key?: string; prefix?: string }): Promise<string> =>
      textOf((await observer.list(query)).keys.map(entryOf));
    const watched = async (target: string | { prefix: string }): Promise<string> => {
      const heard: Entry[] = [];
      const watcher = observer.watcher();
      watcher.watch(target, (change) => heard.push(entryOf(change)));
      await watcher.sync();
      await watcher.stop();
      return textOf(heard);
    };
    expect(await listed({})).toBe(expected(() => true));
    for (const key of KEYS.filter((_, index) => index % 5 === 0)) {
      const isKey = (one: string): boolean => one === key;
      const prefix = String.fromCodePoint(key.codePointAt(0) ?? 0);
      const begins = (one: string): boolean => one.startsWith(prefix);
      expect([await listed({ key }), await watched(key)]).toEqual([expected(isKey), expected(isKey)]);
      expect([await listed({ prefix }), await watched({ prefix })]).toEqual([
        expected(begins),
        expected(begins),
      ]);
    }
    expect(Reflect.get({}, "polluted")).toBeUndefined();
  });
});

type Entry = readonly [key: string, meta: unknown];

const entryOf = ({ key, holders }: { key: string; holders: Holder[] }): Entry => [key, holders[0]?.meta];

const textOf = (entries: readonly Entry[]): string =>
  JSON.stringify(entries.toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b))));

it("what UTF-8 cannot hold, or is too long, is no prefix; a meta is not nested without a bound", async () => {
  await using presence = await Presence.open("memory:security");
  for (const prefix of ["\ud800", "a\udc00", "\udc00\ud800", "K".repeat(1025), "é".repeat(513), 5, null]) {
    const listing = presence.list({ prefix: prefix as string });
    await expect(listing, String(prefix)).rejects.toMatchObject({ code: "INVALID_KEY" });
  }
  const nested: unknown[] = [];
  let at = nested;
  for (let depth = 0; depth < 200; depth++) at.push((at = []));
  const refused = expect.objectContaining({ code: "INVALID_META" }) as Error;
  expect(() => presence.pinger("key", { meta: nested })).toThrow(refused);
});
