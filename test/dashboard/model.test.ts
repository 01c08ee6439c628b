import { describe, expect, it } from "vitest";
import {
  formatAge,
  formatMeta,
  formatProcess,
  formatSpan,
  printable,
  printableLines,
} from "../../dashboard/src/format.ts";
import { type Cause, Keys } from "../../dashboard/src/model/keys.ts";
import { Pulse, type PulsePage } from "../../dashboard/src/model/pulse.ts";
import { EventParser } from "../../dashboard/src/net/sse.ts";
import { SEGMENT_WORDS } from "../../src/core/bits.ts";

const holder = (session: number) => ({ session, host: "h", pid: session, sinceMs: session, meta: null });

const bits = (...sessions: number[]): string => {
  const words = new Int32Array(SEGMENT_WORDS);
  for (const session of sessions) words[session >> 5] = (words[session >> 5] ?? 0) | (1 << (session & 31));
  return Buffer.from(words.buffer).toString("base64");
};

const page = (slot: number, pings: PulsePage["pings"], read = slot): PulsePage => ({
  read,
  slot,
  slotMs: 0,
  periodMs: 1000,
  nextMs: 1000,
  own: 1,
  processes: [],
  pings,
});

const draw = (pulse: Pulse, session: number, ended = false): string => {
  const signs = { none: " ", ping: "#", late: "L", missed: "x", outage: "_", due: "." };
  return pulse
    .cells(session, 10, ended)
    .map((cell) => signs[cell])
    .join("");
};

const slots = (from: number, to: number, ...sessions: number[]): PulsePage["pings"] =>
  Array.from({ length: to - from + 1 }, (_, at) => ({
    slot: from + at,
    segment: 0,
    bits: bits(...sessions),
  }));

describe("EventParser", () => {
  const text = ': hello\n\nevent: a\nid: 7\ndata: {"x":1}\n\ndata: one\ndata:two\n\nevent: empty\n\n';
  const events = [
    { event: "a", id: "7", data: '{"x":1}' },
    { event: "message", id: "7", data: "one\ntwo" },
  ];

  it("keeps the id of an earlier connection until another comes, the empty one too", () => {
    const parser = new EventParser("5");
    expect(parser.take("data: 1\n\n")[0]?.id).toBe("5");
    expect(parser.take("id: \ndata: 2\n\n")[0]?.id).toBe("");
    expect(parser.take("data: 3\n\n")[0]?.id).toBe("");
  });

  it("reads events, with the last id that was sent, and no comments, wherever the text is cut", () => {
    for (let cut = 0; cut <= text.length; cut++) {
      const parser = new EventParser();
      expect([...parser.take(text.slice(0, cut)), ...parser.take(text.slice(cut))]).toEqual(events);
    }
  });
});

describe("Keys", () => {
  const shown = { show: "all", query: "", sort: "key" } as const;
  let id = 0;
  const change = (key: string, sessions: number[], cause: Cause, atMs = 0) => ({
    id: ++id,
    key,
    alive: sessions.length > 0,
    atMs,
    cause,
    holders: sessions.map(holder),
  });

  const names = (keys: Keys, query = ""): string[] => keys.list({ ...shown, query }).map(({ key }) => key);

  it("counts the living, the dead and the processes through every change", () => {
    const keys = new Keys();
    keys.load({ sessions: [[1, "h", 1]], keys: [["a", 5, [[1, 5, null]]]] });
    keys.load({ sessions: [], keys: [["b", 6, []]] });
    const counts = (): number[] => [keys.alive, keys.dead, keys.processes.size];
    expect(counts()).toEqual([1, 1, 1]);
    keys.change(change("b", [1, 2], "joined"));
    expect(counts()).toEqual([2, 0, 2]);
    expect(keys.processes.get(1)?.keys).toBe(2);
    keys.change(change("a", [], "expired", 100));
    keys.change(change("b", [2], "updated"));
    expect(counts()).toEqual([1, 1, 1]);
    keys.forgetBefore(100);
    expect(counts()).toEqual([1, 1, 1]);
    keys.forgetBefore(101);
    expect(counts()).toEqual([1, 0, 1]);
    expect(names(keys)).toEqual(["b"]);
    keys.clear();
    expect([...counts(), names(keys).length]).toEqual([0, 0, 0, 0]);
  });

  it("has them in order as a person counts, whenever they came", () => {
    const keys = new Keys();
    for (const key of ["w10", "w9", "w1"]) keys.change(change(key, [1], "joined"));
    expect(names(keys)).toEqual(["w1", "w9", "w10"]);
    keys.change(change("w2", [1], "joined"));
    expect(names(keys)).toEqual(["w1", "w2", "w9", "w10"]);
    for (const key of ["w0", "w11", "w3", "w3b"]) keys.change(change(key, [1], "joined"));
    const all = ["w0", "w1", "w2", "w3", "w3b", "w9", "w10", "w11"];
    expect(names(keys)).toEqual(all);
    for (const key of ["w10000000000000", "w9999999999999", "w007"]) keys.change(change(key, [1], "joined"));
    expect(names(keys).filter((key) => /\d{3}/.test(key))).toEqual([
      "w007",
      "w9999999999999",
      "w10000000000000",
    ]);
    expect(names(keys).indexOf("w007")).toBe(all.indexOf("w9"));
  });

  it("gives the same list until something changes", () => {
    const keys = new Keys();
    keys.change(change("a", [1], "joined"));
    const list = keys.list(shown);
    expect(keys.list(shown)).toBe(list);
    keys.change(change("a", [], "killed"));
    expect(keys.list(shown)).not.toBe(list);
    expect(keys.list({ ...shown, show: "alive" })).toEqual([]);
  });

  it("says of what was dead when it came how it died, where the change is known", () => {
    const keys = new Keys();
    keys.load({ sessions: [], keys: [["a", 100, []]] });
    keys.explain(change("a", [], "killed", 99)); // an earlier death
    expect(keys.get("a")?.cause).toBe(undefined);
    keys.explain(change("a", [], "expired", 100));
    expect(keys.get("a")?.cause).toBe("expired");
  });

  it("remembers the holders of dead keys, and finds the keys by them", () => {
    const keys = new Keys();
    keys.load({ sessions: [], keys: [["before", 100, []]] });
    const held = (name: string): readonly number[] => keys.get(name)?.last.map(({ pid }) => pid) ?? [];
    keys.explain(change("before", [7], "joined", 50));
    keys.explain(change("before", [], "expired", 100));
    keys.change(change("a", [8, 9], "joined"));
    expect([held("before"), held("a")]).toEqual([[7], []]);
    keys.change(change("a", [], "expired"));
    keys.change(change("a", [], "killed"));
    expect(held("a")).toEqual([8, 9]);
    expect(names(keys, "h:9")).toEqual(["a"]);
    keys.change(change("a", [10], "joined"));
    expect(held("a")).toEqual([]);
  });
});

describe("Pulse", () => {
  const varied = [
    ...slots(2, 4, 1, 31, 32),
    { slot: 5, segment: 0, bits: bits(1, 32), late: bits(32) },
    { slot: 6, segment: 0, bits: bits(1, 31, 32) },
    ...slots(8, 9, 1, 31, 32), // nobody in 7
    ...slots(10, 10, 1),
  ];
  const crash = [...slots(1, 3, 1, 2), ...slots(4, 10, 1)];

  it.each([
    ["a slot in which nobody pinged", varied, 1, " #####_###"],
    ["a ping that is missed, and one that is due", varied, 31, " ###x#_##."],
    ["a late ping", varied, 32, " ###L#_##."],
    ["a crash as three missed and then nothing", crash, 2, "###xxx    "],
    ["three missed after an outage", [...slots(1, 2, 1, 2), ...slots(5, 10, 1)], 2, "##__xxx   "],
    ["one missed after an outage", [...slots(1, 6, 1, 2), ...slots(9, 10, 1)], 2, "######__x."],
  ])("draws %s", (_what, pings, session, drawn) => {
    const pulse = new Pulse();
    pulse.take(page(10, pings), 120);
    expect(draw(pulse, session)).toBe(drawn);
  });

  it("names the sessions, and draws a clean end as nothing", () => {
    const pulse = new Pulse();
    pulse.take(page(10, crash), 120);
    expect(pulse.sessions()).toEqual([1, 2]);
    expect(draw(pulse, 2, true)).toBe("###       ");
  });

  it("does not consider a process late that joined in the second half of a slot", () => {
    const pulse = new Pulse();
    const joins = { slot: 7, segment: 0, bits: bits(1, 2), late: bits(2) };
    const late = { slot: 9, segment: 0, bits: bits(1, 2), late: bits(2) };
    pulse.take(page(10, [joins, ...slots(8, 8, 1, 2), late, ...slots(10, 10, 1, 2)]), 120);
    expect(draw(pulse, 2)).toBe("      ##L#");
    pulse.take(page(18, slots(11, 18, 1, 2)), 120); // its first cell that is drawn is no join
    expect(draw(pulse, 2)).toBe("L#########");
  });

  it("takes what has changed, forgets what is old, and all of another server", () => {
    const pulse = new Pulse();
    pulse.take(page(10, slots(1, 10, 1)), 5);
    expect(draw(pulse, 1)).toBe("     #####");
    pulse.take(page(11, slots(11, 11, 1)), 5);
    expect(draw(pulse, 1)).toBe("     #####");
    pulse.take(page(12, slots(12, 12, 1), 1), 5);
    expect(draw(pulse, 1)).toBe("         #");
  });
});

describe("formats", () => {
  it("ages", () => {
    const ages = [-5, 0, 59_999, 60_000, 3_599_999, 3_600_000, 86_400_000 * 3 + 3_600_000 * 4];
    expect(ages.map(formatAge)).toEqual(["0 s", "0 s", "59 s", "1 min", "59 min", "1 h 00", "3 d 4 h"]);
  });

  it("spans", () => {
    const spans = [250, 5000, 119_000, 600_000, 7_199_000, 7_200_000, 120 * 3_600_000];
    expect(spans.map(formatSpan)).toEqual(["250 ms", "5 s", "119 s", "10 min", "120 min", "2 h", "120 h"]);
  });

  it("hide nothing in keys and metas", () => {
    expect(printable("a\u0000\u202eb\u2028\u3164c")).toBe("a\\u{0}\\u{202e}b\\u{2028}\\u{3164}c");
    expect(printable("❤\ufe0f")).toBe("❤\ufe0f");
    expect(printableLines('{\n "\\\\u{a}\u202e"')).toBe('{\n "\\\\u{a}\\u{202e}"');
    expect(formatProcess({ host: "\u202eweb", pid: 7 })).toBe("\\u{202e}web:7");
    expect([formatMeta(null), formatMeta({ a: "\u200b" })]).toEqual(["", '{"a":"\\u{200b}"}']);
  });
});
