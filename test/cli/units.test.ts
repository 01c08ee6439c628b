import { getEventListeners } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { readConfigFile } from "../../src/cli/config-file.ts";
import { absence, faultOf, runningOut, type Suspicion } from "../../src/cli/demo/verdict.ts";
import { formatDuration, parseDuration } from "../../src/cli/duration.ts";
import { adviceOnInstalling, explain } from "../../src/cli/errors.ts";
import { Interruption } from "../../src/cli/interruption.ts";
import { dataDirectory, describeStore, settingsFrom } from "../../src/cli/settings.ts";
import { columns, formatHolders, isSimilar, printable, printableJson, widthOf } from "../../src/cli/text.ts";
import { describeHealth } from "../../src/cli/watch.ts";
import { HeartbitError } from "../../src/core/errors.ts";
import { findDriver } from "../../src/stores/sqlite/driver.ts";
import { checkOptions } from "../../src/presence/options.ts";
import { newDirectory } from "./heartbit.ts";

/** What it throws; undefined if nothing. */
function errorOf(act: () => unknown): unknown {
  try {
    act();
    return undefined;
  } catch (error) {
    return error;
  }
}

describe("a key", () => {
  it.each([
    ["worker-1", "worker-1x", true],
    ["worker-1", "wrker-1", true],
    ["worker-1", "worker_1", true],
    ["worker-1", "wroker-1", true],
    ["worker-1", "Worker-1", true],
    ["worker-1", "worker-1", false],
    ["worker-1", "worker-23", false],
    ["worker-1", "reworked", false],
    ["aab", "bba", false],
    ["a", "b", false],
  ])("%s may have been mistyped as %s: %s", (a, b, may) =>
    expect([isSimilar(a, b), isSimilar(b, a)]).toEqual([may, may]),
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

/** An interruption that does not outlive the test. */
function newInterruption(): Interruption {
  const before = ENDING.map((signal) => process.listeners(signal));
  const interruption = new Interruption();
  onTestFinished(() => {
    for (const [index, signal] of ENDING.entries()) {
      for (const listener of process.listeners(signal)) {
        if (before[index]?.includes(listener) !== true) process.off(signal, listener);
      }
    }
  });
  return interruption;
}
const ENDING = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

describe("an interruption", () => {
  it("is not listened to any more once the work is done, however often a command waits for work", async () => {
    const interruption = newInterruption();
    await interruption.orEnded(Promise.resolve());
    expect(getEventListeners(interruption.signal, "abort")).toHaveLength(0);
    await expect(interruption.orEnded(Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(getEventListeners(interruption.signal, "abort")).toHaveLength(0);
  });

  it("ends the waiting for work that never does", async () => {
    const interruption = newInterruption();
    const waits = [1, 2].map(() => interruption.orEnded(new Promise(() => {})));
    interruption.end(130);
    await Promise.all(waits);
    await interruption.orEnded(new Promise(() => {})); // it has ended already
  });
});

describe("settings", () => {
  const FILE = { store: "sqlite:/file", name: "file", period: 7000 };
  const env = { HEARTBIT_STORE: "sqlite:/env", HEARTBIT_NAME: "env", HEARTBIT_PERIOD: "2s" };

  const empty = { HEARTBIT_STORE: "", HEARTBIT_NAME: "", HEARTBIT_PERIOD: "", XDG_DATA_HOME: "/data" };
  const flags = { store: "sqlite:/flag", name: "flag", period: 300 };
  it.each([
    ["flags before the environment", flags, env, FILE, "sqlite:/flag flag 300"],
    ["the environment where there are no flags", {}, env, FILE, "sqlite:/env env 2000"],
    ["the file where there is nothing else", {}, {}, FILE, "sqlite:/file file 7000"],
    ["an empty variable for none", {}, empty, {}, "sqlite:/data/heartbit presence undefined, by default"],
    ["each by itself", { name: "flag" }, { HEARTBIT_PERIOD: "2s" }, FILE, "sqlite:/file flag 2000"],
  ])("take %s", (_what, given, variables, file, taken) => {
    const { store, name, periodMs, isDefaultStore } = settingsFrom(given, variables, file);
    expect(`${store} ${name} ${periodMs}${isDefaultStore === true ? ", by default" : ""}`).toBe(taken);
  });

  it("refuse what is wrong, and name the place where it is written", () => {
    expect(() => settingsFrom({}, { HEARTBIT_PERIOD: "soon" })).toThrow(/HEARTBIT_PERIOD is "soon"/);
    expect(() => settingsFrom({}, { HEARTBIT_STORE: "db:27017" })).toThrow(
      /^HEARTBIT_STORE begins with "db:"/,
    );
    const file = { name: "a b" };
    expect(() => settingsFrom({}, { XDG_DATA_HOME: "/x" }, file)).toThrow(
      /^"name" in heartbit.config.json is/,
    );
  });

  it.each([99, 100, 100.5, 3_600_000, 3_600_001])("judge a period of %d ms as the library does", (period) => {
    const own = errorOf(() => settingsFrom({ period }, { XDG_DATA_HOME: "/x" }, {}));
    const library = errorOf(() => checkOptions({ periodMs: period }, undefined));
    expect(own === undefined).toBe(library === undefined);
  });

  it.each([
    [{}, "linux", "/home/a/.local/share/heartbit"],
    [{ XDG_DATA_HOME: "/x" }, "linux", "/x/heartbit"],
    [{ XDG_DATA_HOME: "relative" }, "linux", "/home/a/.local/share/heartbit"],
    [{}, "darwin", "/home/a/Library/Application Support/heartbit"],
    [{ LOCALAPPDATA: "/local" }, "win32", "/local/heartbit"],
  ] as const)("know the user's data directory: with %j on %s it is %s", (variables, system, directory) =>
    expect(dataDirectory(variables, system, () => "/home/a")).toBe(directory),
  );
});

/** What the config file says that has this text. */
const readFrom = async (text: string | Buffer) => {
  const file = join(await newDirectory(), "heartbit.config.json");
  await writeFile(file, text);
  return readConfigFile(file);
};

describe("heartbit.config.json", () => {
  it("has some of the store, the name and the period, as text or in ms", async () => {
    const text = '{"store": "mongodb://db/app", "name": "agents", "period": "2s"}';
    expect(await readFrom(text)).toEqual({ store: "mongodb://db/app", name: "agents", period: 2000 });
    expect(await readFrom('{"period": 500}')).toEqual({ period: 500 });
    expect(await readFrom('\uFEFF{"name":"agents"}')).toEqual({ name: "agents" }); // a byte order mark
    const utf16 = Buffer.from('\uFEFF{"name":"agents"}\r\n', "utf16le"); // as `>` of Windows PowerShell writes it
    expect(await readFrom(utf16)).toEqual({ name: "agents" });
    expect(readConfigFile(join(await newDirectory(), "none.json"))).toEqual({});
  });

  it.each([
    ["{", /is not JSON/],
    ["[]", /must hold an object/],
    ['{"stor": "x"}', /has "stor", but may have "store", "name" and "period" only/],
    ['{"name": ""}', /"name" .* must be a non-empty string/],
    ['{"period": "soon"}', /"period" .* is "soon"/],
    ['{"period": null}', /"period" .* is null, but must be a time like "5s"/],
  ])("refuses %s, with what to write", async (text, message) => {
    await expect(readFrom(text)).rejects.toThrow(message);
  });
});

describe("no password is printed", () => {
  it.each([
    ["mongodb://user:secret@host:27017/db?x=1", "MongoDB at host:27017/db"],
    ["mongodb+srv://user:secret@host/my%20db", "MongoDB at host/my db"],
    ["mongodb://host1,host2", "MongoDB at host1,host2/heartbit"],
    ["mongodb://user:secret@host/?authSource=admin", "MongoDB at host/heartbit"],
    ["mongodb://host/%zz", "MongoDB at host/%zz"],
    ["mongodb://user:se/cr@et@host/db", "MongoDB"],
    ["mongodb://user:se?cret@host/db", "MongoDB"],
    ["mongodb://user:secret@[::1]:27017,host2/db?replicaSet=rs", "MongoDB at [::1]:27017,host2/db"],
    ["mongodb://host/?tlsCertificateKeyFilePassword=se@cret", "MongoDB"],
  ])("describing %s", (store, described) => expect(describeStore(store)).toBe(described));

  it("in an error that quotes one", () => {
    const error = new Error("cannot reach mongodb://user:sec@ret@host/db");
    expect(explain(error)).toBe("cannot reach mongodb://***@host/db.");
  });
});

describe("where a package is missing", () => {
  const missing = errorOf(() =>
    findDriver((name) => {
      throw Object.assign(new Error(`Cannot find module '${name}'`), { code: "MODULE_NOT_FOUND" });
    }),
  );

  it.each([
    [
      "/home/ann/.npm/_npx/1f/node_modules/heartbit/dist/cli/main.js",
      "For MongoDB, set --store (or HEARTBIT_STORE). For npx, write: npx -p heartbit -p @photostructure/sqlite@1 heartbit demo",
    ],
    [
      "/usr/lib/node_modules/heartbit/dist/cli/main.js",
      "For MongoDB, set --store (or HEARTBIT_STORE). For this heartbit, write: npm install --global @photostructure/sqlite@1",
    ],
    ["/app/node_modules/heartbit/dist/cli/main.js", "For MongoDB, set --store (or HEARTBIT_STORE)."],
  ])("the advice for %s is where that looks", (file, advice) => {
    expect(adviceOnInstalling(String(missing), `file://${file}`, ["node", file, "demo"])).toBe(advice);
  });
});

describe("text for a terminal", () => {
  it.each([
    ["a\nb\u001b[31mc\u202ed", "a\\x0ab\\x1b[31mc\\u{202e}d"],
    ["a\u009b31mb\u061cc", "a\\x9b31mb\\u{61c}c"],
    ["a\u200bb\u3164c\u115fd\u2800e\ufe0f", "a\\u{200b}b\\u{3164}c\\u{115f}d\\u{2800}e\\u{fe0f}"],
    ["é 日本 ❤\ufe0f", "é 日本 ❤\ufe0f"],
  ])("shows what is not seen, instead of obeying it, but leaves pictures whole: %j is %j", (text, shown) =>
    expect(printable(text)).toBe(shown),
  );

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
    const rows = ["a 1 x", "日本 100 ", "bb 2 y"].map((row) => row.split(" "));
    expect(columns(rows, new Set([1]))).toEqual(["a       1  x", "日本  100", "bb      2  y"]);
    expect(widthOf("👍é")).toBe(3);
  });

  it("does not widen every row for a key that is very long", () => {
    const long = "k".repeat(1024);
    expect(
      columns([
        [long, "x"],
        ["a", "y"],
      ]),
    ).toEqual([`${long}  x`, `${"a".padEnd(60)}  y`]);
  });

  it.each([
    ["STORE_UNAVAILABLE", "", "No. Is it running, and is --store (or HEARTBIT_STORE) right?"],
    ["STORE_UNAVAILABLE", "sqlite:/x", "No. Is --store (or HEARTBIT_STORE) right?"],
    [
      "NOT_PERMITTED",
      "",
      "No. Check the user, its password, its database (authSource) and its rights in --store.",
    ],
    [
      "NOT_PERMITTED",
      "sqlite:/x",
      "No. Give this user the rights to the directory, or choose another --store.",
    ],
  ] as const)("says what to do about %s in the store %j, in one line", (code, store, line) => {
    expect(explain(new HeartbitError(code, "No.\n"), store)).toBe(line);
    const full = new HeartbitError("STORE_UNAVAILABLE", "database or disk is full");
    expect(explain(full, "sqlite:/x")).toBe("database or disk is full. Make room on that disk.");
  });
});

const suspicion = (fromMs: number, toMs: number): Suspicion[] => [{ fromMs, toMs, reason: "slow" }];

describe("the demo's verdict, with a period of a second,", () => {
  const bound = absence(1000);

  it.each([
    ["a report at the start of its bound", { toldMs: 1100 }, [], undefined],
    ["a report at the end of its bound", { toldMs: 2500 }, [], undefined],
    ["no report", { toldMs: undefined }, [], "never reported"],
    ["an early report", { toldMs: 900 }, [], "reported 180 ms too early"],
    ["a late report", { toldMs: 3000 }, [], "reported 280 ms too late"],
    ["a report after vouchedUntil", { toldMs: 900, vouchedUntilMs: 880 }, [], undefined],
    ["one before it", { toldMs: 900, vouchedUntilMs: 1200 }, [], "reported 180 ms too early"],
    ["one in the bound from the end of a suspicion", { toldMs: 4000 }, suspicion(500, 2000), undefined],
    ["one after that bound", { toldMs: 5000 }, suspicion(500, 2000), "reported 280 ms too late"],
    ["one after an earlier suspicion", { toldMs: 3000 }, suspicion(-500, -100), "reported 280 ms too late"],
    ["one before a suspicion", { toldMs: 3000 }, suspicion(3500, 4000), "reported 280 ms too late"],
    ["an early one after a suspicion", { toldMs: 900 }, suspicion(0, 500), "reported 180 ms too early"],
    ["a stop as a crash", { toldMs: 1200, bound: runningOut(1000) }, [], "reported 280 ms too early"],
  ])("on %s", (_what, seen, suspicions, fault) =>
    expect(faultOf({ happenedMs: 0, bound, ...seen }, 1000, suspicions)).toBe(fault),
  );
});
