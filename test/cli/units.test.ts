import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readConfigFile } from "../../src/cli/config-file.ts";
import { absence, faultOf, runningOut, type Suspicion } from "../../src/cli/demo/verdict.ts";
import { formatDuration, parseDuration } from "../../src/cli/duration.ts";
import { explain } from "../../src/cli/errors.ts";
import { dataDirectory, describeStore, settingsFrom } from "../../src/cli/settings.ts";
import { columns, formatHolders, isSimilar, printable, printableJson, widthOf } from "../../src/cli/text.ts";
import { describeHealth } from "../../src/cli/watch.ts";
import { HeartbitError } from "../../src/core/errors.ts";
import { newDirectory } from "./heartbit.ts";

const home = (): string => "/home/a";

describe("a key", () => {
  it.each([
    ["worker-1", "worker-1x"],
    ["worker-1", "wrker-1"],
    ["worker-1", "worker_1"],
    ["worker-1", "wroker-1"],
    ["worker-1", "Worker-1"],
  ])("%s may have been mistyped as %s", (a, b) =>
    expect([isSimilar(a, b), isSimilar(b, a)]).toEqual([true, true]),
  );

  it.each([
    ["worker-1", "worker-1"],
    ["worker-1", "worker-23"],
    ["worker-1", "reworked"],
    ["aab", "bba"],
    ["a", "b"],
  ])("%s is not said to be like %s", (a, b) =>
    expect([isSimilar(a, b), isSimilar(b, a)]).toEqual([false, false]),
  );
});

describe("lengths of time", () => {
  it.each([
    ["5000", 5000],
    ["5000ms", 5000],
    ["5s", 5000],
    ["1.5 s", 1500],
    ["2m", 120_000],
    ["1h", 3_600_000],
    ["0", 0],
  ])("reads %s", (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each(["", "s", "-5s", "5 days", "1e3", "5s5s", "Infinity"])("refuses %j", (text) =>
    expect(parseDuration(text)).toBeUndefined(),
  );

  it.each([
    [250, "250 ms"],
    [1000, "1 s"],
    [12_340, "12.3 s"],
    [245_000, "4 m 05 s"],
    [12_000_000, "3 h 20 m"],
  ])("writes %d ms as %s", (ms, text) => expect(formatDuration(ms)).toBe(text));
});

describe("settings", () => {
  const FILE = { store: "sqlite:/file", name: "file", period: 7000 };
  const env = { HEARTBIT_STORE: "sqlite:/env", HEARTBIT_NAME: "env", HEARTBIT_PERIOD: "2s" };

  it("take flags before the environment", () => {
    expect(settingsFrom({ store: "sqlite:/flag", name: "flag", period: 300 }, env, FILE)).toEqual({
      store: "sqlite:/flag",
      name: "flag",
      periodMs: 300,
    });
  });

  it("take the environment where there are no flags, and an empty variable for none", () => {
    expect(settingsFrom({}, env, FILE)).toEqual({ store: "sqlite:/env", name: "env", periodMs: 2000 });
    const empty = { HEARTBIT_STORE: "", HEARTBIT_NAME: "", HEARTBIT_PERIOD: "", XDG_DATA_HOME: "/data" };
    expect(settingsFrom({}, empty, {})).toEqual({
      store: "sqlite:/data/heartbit",
      isDefaultStore: true,
      name: "presence",
      periodMs: undefined,
    });
  });

  it("take the file where there is nothing else", () => {
    expect(settingsFrom({}, {}, FILE)).toEqual({ store: "sqlite:/file", name: "file", periodMs: 7000 });
    expect(settingsFrom({ name: "flag" }, { HEARTBIT_PERIOD: "2s" }, FILE)).toEqual({
      store: "sqlite:/file",
      name: "flag",
      periodMs: 2000,
    });
  });

  it("refuse a period that is none, and name the variable", () => {
    expect(() => settingsFrom({}, { HEARTBIT_PERIOD: "soon" })).toThrow(/HEARTBIT_PERIOD is "soon"/);
  });

  it("know the user's data directory on each system", () => {
    expect(dataDirectory({}, "linux", home)).toBe("/home/a/.local/share/heartbit");
    expect(dataDirectory({ XDG_DATA_HOME: "/x" }, "linux", home)).toBe("/x/heartbit");
    expect(dataDirectory({ XDG_DATA_HOME: "relative" }, "linux", home)).toBe("/home/a/.local/share/heartbit");
    expect(dataDirectory({}, "darwin", () => "/Users/a")).toBe(
      "/Users/a/Library/Application Support/heartbit",
    );
    expect(dataDirectory({ LOCALAPPDATA: "/local" }, "win32", home)).toBe("/local/heartbit");
  });
});

/** What the config file says that has this text. */
const readFrom = async (text: string) => {
  const file = join(await newDirectory(), "heartbit.config.json");
  await writeFile(file, text);
  return readConfigFile(file);
};

describe("heartbit.config.json", () => {
  it("has some of the store, the name and the period, as text or in ms", async () => {
    expect(await readFrom('{"store": "mongodb://db/app", "name": "agents", "period": "2s"}')).toEqual({
      store: "mongodb://db/app",
      name: "agents",
      period: 2000,
    });
    expect(await readFrom('{"period": 500}')).toEqual({ period: 500 });
    expect(readConfigFile(join(await newDirectory(), "none.json"))).toEqual({});
  });

  it.each([
    ["{", /is not JSON/],
    ["[]", /must hold an object/],
    ['{"stor": "x"}', /has "stor", but may have "store", "name" and "period" only/],
    ['{"name": ""}', /"name" .* must be a non-empty string/],
    ['{"period": "soon"}', /"period" .* is "soon"/],
  ])("refuses %s, with what to write", async (text, message) => {
    await expect(readFrom(text)).rejects.toThrow(message);
  });
});

describe("no password is printed", () => {
  it.each([
    ["mongodb://user:secret@host:27017/db?x=1", "MongoDB at host:27017"],
    ["mongodb+srv://user:secret@host/db", "MongoDB at host"],
    ["mongodb://host1,host2", "MongoDB at host1,host2"],
    ["mongodb://user:se/cr@et@host/db", "MongoDB"],
    ["mongodb://host/?tlsCertificateKeyFilePassword=se@cret", "MongoDB"],
  ])("describing %s", (store, described) => expect(describeStore(store)).toBe(described));

  it("in an error that quotes one", () => {
    const error = new Error("cannot reach mongodb://user:sec@ret@host/db");
    expect(explain(error)).toBe("cannot reach mongodb://***@host/db.");
  });
});

describe("text for a terminal", () => {
  it("shows control characters instead of obeying them", () => {
    expect(printable("a\nb\u001b[31mc\u202ed")).toBe("a\\x0ab\\x1b[31mc\\u{202e}d");
    expect(printable("a\u009b31mb\u061cc")).toBe("a\\x9b31mb\\u{61c}c");
  });

  it("shows what is not seen, but leaves pictures whole", () => {
    expect(printable("a\u200bb\u3164c\u115fd\u2800e\ufe0f")).toBe(
      "a\\u{200b}b\\u{3164}c\\u{115f}d\\u{2800}e\\u{fe0f}",
    );
    expect(printable("é 日本 ❤\ufe0f")).toBe("é 日本 ❤\ufe0f");
  });

  it("in JSON is escaped, and read back the same", () => {
    const value = { "a\u009b2J": ["\u202e\u3164\u{e0041}", "é 日本 ❤\ufe0f", "\n"] };
    const text = printableJson(value);
    expect(text).toBe('{"a\\u009b2J":["\\u202e\\u3164\\udb40\\udc41","é 日本 ❤\ufe0f","\\n"]}');
    expect(JSON.parse(text)).toEqual(value);
  });

  it("shows those of a host that another wrote, of a reason and of an error, too", () => {
    const holder = { session: 1, host: "a\u001b[2J", pid: 7, since: new Date(0), meta: null };
    expect(formatHolders([holder])).toBe("a\\x1b[2J:7");
    expect(explain(new Error("bad \u001b[2J\r\nkey"))).toBe("bad \\x1b[2J key.");
    expect(describeHealth({ state: "stale", reason: "a ping failed: \u001b[2J." })).toBe(
      "Stale: a ping failed: \\x1b[2J. Expiries are held back until it is healthy.",
    );
    expect(describeStore("sqlite:/tmp/\u001b[2J")).toBe("SQLite in /tmp/\\x1b[2J");
  });

  it("aligns columns by what a terminal shows", () => {
    expect(
      columns(
        [
          ["a", "1", "x"],
          ["日本", "100", ""],
          ["bb", "2", "y"],
        ],
        new Set([1]),
      ),
    ).toEqual(["a       1  x", "日本  100", "bb      2  y"]);
    expect(widthOf("👍é")).toBe(3);
  });

  it("says what to do about an error, in one line", () => {
    expect(explain(new HeartbitError("STORE_UNAVAILABLE", "No server\nanswered."))).toBe(
      "No server answered. Is it running, and is --store (or HEARTBIT_STORE) right?",
    );
  });
});

const suspicion = (fromMs: number, toMs: number): Suspicion[] => [{ fromMs, toMs, reason: "slow" }];

describe("the demo's verdict, with a period of a second", () => {
  const bound = { leastMs: 1100, mostMs: 2500 };
  const fault = (toldMs: number | undefined, suspicions: Suspicion[] = [], vouchedUntilMs?: number) =>
    faultOf(
      { happenedMs: 0, toldMs, bound, ...(vouchedUntilMs === undefined ? {} : { vouchedUntilMs }) },
      1000,
      suspicions,
    );

  it("accepts a report within the bound", () => {
    expect(fault(1100)).toBeUndefined();
    expect(fault(2500)).toBeUndefined();
  });

  it("expects a stop to be reported when it has run out, later than the earliest report of a crash", () => {
    const told = { happenedMs: 0, toldMs: 1200 };
    expect(faultOf({ ...told, bound: absence(1000) }, 1000, [])).toBeUndefined();
    expect(faultOf({ ...told, bound: runningOut(1000) }, 1000, [])).toBe("reported 280 ms too early");
  });

  it("finds fault with a report that is missing, too early or too late", () => {
    expect(fault(undefined)).toBe("never reported");
    expect(fault(900)).toBe("reported 180 ms too early");
    expect(fault(3000)).toBe("reported 280 ms too late");
  });

  it("accepts an early report only after the process's vouchedUntil", () => {
    expect(fault(900, [], 880)).toBeUndefined();
    expect(fault(900, [], 1200)).toBe("reported 180 ms too early");
  });

  it("counts the bound from the end of a suspicion before the report, and of no other", () => {
    expect(fault(4000, suspicion(500, 2000))).toBeUndefined();
    expect(fault(5000, suspicion(500, 2000))).toBe("reported 280 ms too late");
    expect(fault(3000, suspicion(-500, -100))).toBe("reported 280 ms too late");
    expect(fault(3000, suspicion(3500, 4000))).toBe("reported 280 ms too late");
    expect(fault(900, suspicion(0, 500))).toBe("reported 180 ms too early");
  });
});
