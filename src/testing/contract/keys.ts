import assert from "node:assert/strict";
import {
  aRegistration,
  aSession,
  configured,
  keysOf,
  only,
  put,
  readAll,
  type Suite,
  type World,
} from "./world.ts";

/** Keys that stores have been known to mix up. All are well-formed and at most 1,024 bytes of UTF-8. */
const KEYS: readonly string[] = [
  ..."a A aa aB ab ab. ab.c a.b a/b a\\b a*b a.*b ^a$ ä".split(" "),
  ..."$ $where $a.b . .. .a a. __proto__ constructor toString hasOwnProperty".split(" "),
  ..."0 00 1 1.0 -1 1e3 null undefined true NaN [] {} _id key".split(" "),
  " ",
  " a",
  "a ",
  "a\n",
  "\ta",
  "a\r\n",
  '"',
  "'",
  "`",
  "%00",
  "\\u0000",
  "\0",
  "\0\0",
  "a\0",
  "a\0b",
  "a\0\0",
  "\0a",
  "\u0001",
  "a\u0001",
  "a\u0001\u0001",
  "a\u0001\u0002",
  "\u007F",
  "\u0080",
  "\u07FF",
  "\u0800",
  // The same letters composed in two ways, and one that a collation equates with two others.
  "é",
  "e\u0301",
  "ß",
  "ss",
  "ﬁ",
  "fi",
  "İ",
  "i",
  "I",
  "ı",
  // UTF-16 units and code points sort these differently, and the surrogates lie between them.
  "\uD7FF",
  "\uD7FFa",
  "\uE000",
  "\uFFFD",
  "\uFFFE",
  "\uFFFF",
  "\u{10000}",
  "\u{10000}a",
  "😀",
  "😀😀",
  "\u{10FFFE}",
  "\u{10FFFF}",
  "\u{10FFFF}\u{10FFFF}",
  "\u{10FFFF}a",
  "a\u{10FFFF}",
  "a\uFFFF",
  "b",
  "\uFEFFa",
  "\u202Ea",
  "\u200Ba",
  "x".repeat(1022),
  "x".repeat(1023),
  "x".repeat(1024),
  `${"x".repeat(1023)}y`,
  `${"x".repeat(1022)}\0y`,
  "é".repeat(512),
  "😀".repeat(256),
  `${"😀".repeat(255)}\u{10FFFF}`,
];

/** Runs the body with every key held. */
function filled(body: (world: World) => Promise<void>) {
  return configured(async (world) => {
    const { ns, slot } = world;
    const registrations = KEYS.map((key, pinger) => aRegistration(1, key, slot, { pinger }));
    await ns.write([put.session(aSession(1, slot)), ...registrations.map(put.registration)]);
    await body(world);
  });
}

export const keyTests: Suite = (test) => {
  test(
    "every key is stored as it is",
    filled(async ({ ns }) => {
      assert.deepEqual(keysOf(await readAll(ns, { select: only({ all: true }) })), KEYS.toSorted());
    }),
  );

  test(
    "reading a key gives its registrations and no other's",
    filled(async ({ ns }) => {
      for (const key of KEYS) assert.deepEqual(keysOf(await readAll(ns, { select: only(key) })), [key]);
    }),
  );

  test(
    "reading a key that nobody holds gives nothing, however near it is to another",
    filled(async ({ ns }) => {
      for (const key of ["x".repeat(1021), "aaa", "a\0c", "É", "\u{10FFFF}\u{10FFFF}\u{10FFFF}", "2"])
        assert.deepEqual(keysOf(await readAll(ns, { select: only(key) })), []);
    }),
  );

  test(
    "reading a prefix gives all keys that begin with it, and no other",
    filled(async ({ ns }) => {
      for (const prefix of new Set([...KEYS, "x", "xx", "__", "1.", "A", "\u{10FFFF}".repeat(3)])) {
        const wanted = KEYS.filter((key) => key.startsWith(prefix)).toSorted();
        assert.deepEqual(
          keysOf(await readAll(ns, { select: only({ prefix }) })),
          wanted,
          JSON.stringify(prefix),
        );
      }
    }),
  );

  test(
    "keys and prefixes are read together",
    filled(async ({ ns }) => {
      const select = only("b", "\0", "nobody's", { prefix: "\u{10FFFF}" }, { prefix: "a\0" }, "a\0b");
      const wanted = ["b", "\0", "a\0", "a\0b", "a\0\0"];
      wanted.push(...KEYS.filter((key) => key.startsWith("\u{10FFFF}")));
      assert.deepEqual(keysOf(await readAll(ns, { select })), wanted.toSorted());
    }),
  );

  test(
    "killing a key ends its registrations and no other's",
    filled(async ({ ns }) => {
      const killed = KEYS.filter((_, index) => index % 3 === 0);
      for (const key of killed) await ns.kill(key);
      const { registrations } = await readAll(ns, { select: only({ all: true }) });
      const dead = [...registrations.values()].filter(({ last }) => last === 0).map(({ key }) => key);
      assert.deepEqual(dead.toSorted(), killed.toSorted());
    }),
  );
};
