import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EVERYTHING, select } from "../../src/core/selection.ts";
import type { Namespace } from "../../src/core/store.ts";
import { openSqlite } from "../../src/stores/sqlite/index.ts";
import { ManualClock, storeContract } from "../../src/testing/index.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "heartbit-sqlite-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe("SqliteStore keeps the contract", () => {
  storeContract(() => openSqlite(directory), { describe, it });
});

const CONFIG = { version: 1, periodMs: 5000, offset: 0, retentionSlots: 120, base: 0 };
const aSession = (seq: number, slot: number) =>
  ({ kind: "session", session: { seq, host: "h", pid: 1, opened: 0, slot } }) as const;

async function countRegistrations(ns: Namespace): Promise<number> {
  let count = 0;
  for await (const { registrations } of ns.read({ select: EVERYTHING })) count += registrations.length;
  return count;
}

describe("openSqlite", () => {
  it("makes the directory, parents too", async () => {
    const store = await openSqlite(join(directory, "a", "b.c"));
    await store.namespace("n").configure(CONFIG);
    expect(store.path.startsWith(join(directory, "a", "b.c"))).toBe(true);
    await store.close();
  });

  it("one file serves all stores that open the directory, under each of its names, until the last closes", async () => {
    const alias = join(directory, "alias");
    symlinkSync(directory, alias);
    const open = [openSqlite(directory), openSqlite(`${directory}/`), openSqlite(alias)] as const;
    const [first, second, third] = await Promise.all(open);
    await first.namespace("n").configure(CONFIG);
    expect(await second.namespace("n").config()).toEqual(CONFIG);
    await first.close();
    await first.close();
    expect(await third.namespace("n").nextSeq()).toBe(1);
    await Promise.all([second.close(), third.close()]);
  });

  it("opens again what was closed, while it is being closed too", async () => {
    const first = await openSqlite(directory);
    await first.namespace("n").configure(CONFIG);
    const closing = first.close();
    const second = await openSqlite(directory);
    await closing;
    expect(await second.namespace("n").config()).toEqual(CONFIG);
    await second.close();
  });

  it("rejects what is asked of a closed store as STORE_UNAVAILABLE", async () => {
    const store = await openSqlite(directory);
    const ns = store.namespace("n");
    await store.close();
    for (const ask of [ns.config(), ns.configure(CONFIG), ns.ping(1, 1), ns.pings(0), countRegistrations(ns)])
      await expect(ask).rejects.toMatchObject({
        code: "STORE_UNAVAILABLE",
        message: expect.stringMatching(/closed[^.]*\.$/),
      });
  });

  it.each([
    ["a file", (at: string) => writeFileSync(at, "x"), ""],
    ["below a file", (at: string) => writeFileSync(at, "x"), "/below"],
  ])("rejects a directory that is %s as INVALID_OPTION, with its path", async (_, make, below) => {
    const path = join(directory, "file");
    make(path);
    await expect(openSqlite(path + below)).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringContaining(path + below),
    });
  });

  it("rejects a directory where none can be made as INVALID_OPTION", async ({ skip }) => {
    skip(process.platform !== "linux", "only Linux has /proc");
    await expect(openSqlite("/proc/heartbit/below")).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });

  it.each(["", "a\0b", "x".repeat(300)])("rejects the path %j as INVALID_OPTION", async (path) => {
    await expect(openSqlite(path)).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });

  it("makes a new file in place of one that is damaged, or is not heartbit's", async () => {
    for (const spoil of [
      (path: string) => writeFileSync(path, "no SQLite file".repeat(1000)),
      (path: string) => writeFileSync(path, ""),
    ]) {
      const first = await openSqlite(directory);
      await first.namespace("n").configure(CONFIG);
      await first.close();
      spoil(first.path);
      const second = await openSqlite(directory);
      expect(await second.namespace("n").config()).toBeUndefined();
      expect(await second.namespace("n").nextSeq()).toBe(1);
      await second.close();
    }
  });

  it("rejects a directory that may not be written as NOT_PERMITTED", async ({ skip }) => {
    skip(process.getuid?.() === 0, "root may write everywhere: run the tests as another user");
    chmodSync(directory, 0o500);
    await expect(openSqlite(directory)).rejects.toMatchObject({ code: "NOT_PERMITTED" });
    await expect(openSqlite(join(directory, "below"))).rejects.toMatchObject({ code: "NOT_PERMITTED" });
    chmodSync(directory, 0o700);
  });

  it("deletes what earlier runs of the system have left once nobody has used it for a day", async () => {
    const twoDaysAgo = Date.now() / 1000 - 2 * 86_400;
    const makeOld = (name: string, usedAgain = false): void => {
      mkdirSync(join(directory, name));
      writeFileSync(join(directory, name, "store.sqlite-wal"), "x");
      if (!usedAgain) utimesSync(join(directory, name, "store.sqlite-wal"), twoDaysAgo, twoDaysAgo);
      utimesSync(join(directory, name), twoDaysAgo, twoDaysAgo);
    };
    for (const name of ["heartbit-1-00000001", ".new-abcdef", ".old-abcdef", "somebody's"]) makeOld(name);
    makeOld("heartbit-2-00000001", true);
    mkdirSync(join(directory, "heartbit-1-00000002"));
    const store = await openSqlite(directory);
    await store.close();
    const left = readdirSync(directory).filter((name) => join(directory, name) !== dirname(store.path));
    expect(left.toSorted()).toEqual(["heartbit-1-00000002", "heartbit-2-00000001", "somebody's"]);
  });

  it("takes a namespace whose name is long, or has any character", async () => {
    const store = await openSqlite(directory);
    for (const name of ["é".repeat(4000), "a\0b", "a\0", "a", "'; DROP TABLE records; --"]) {
      const ns = store.namespace(name);
      expect(await ns.config()).toBeUndefined();
      await ns.configure(CONFIG);
      const registration = { session: 1, pinger: 1, start: 1, since: 0, slot: 1, meta: "{}", revision: 0 };
      await ns.write([
        aSession(1, 1),
        { kind: "registration", registration: { ...registration, key: "k".repeat(1024) } },
      ]);
      expect(await countRegistrations(ns)).toBe(1);
    }
    await store.close();
  });
});

describe("SqliteStore", () => {
  it("stamps with the time of the clock that it was given", async () => {
    const clock = new ManualClock({ start: 12_345 });
    const store = await openSqlite(directory, { clock });
    expect(store.clock).toBe(clock);
    expect(await store.namespace("n").time()).toBe(12_345);
    await store.close();
  });

  it("stays as large as what lives and has lately died, through 3,000 restarts", async () => {
    const store = await openSqlite(directory);
    const ns = store.namespace("n");
    await ns.configure(CONFIG);
    const sizes: number[] = [];
    const restarts = 3000;
    for (let slot = 1; slot <= restarts; slot++) {
      const seq = await ns.nextSeq();
      const registration = { session: seq, pinger: 1, start: 1, key: `key-${slot % 50}`, since: 0, slot };
      const meta = JSON.stringify("m".repeat((slot * 31) % 700));
      await ns.write([
        aSession(seq, slot),
        { kind: "registration", registration: { ...registration, meta, revision: 0 } },
      ]);
      for (const pinged of [seq, seq - 1]) await ns.ping(slot, pinged);
      if (slot % 3 === 0) await ns.write([{ kind: "endSession", session: seq, last: slot }]);
      if (slot % 10 === 0) await ns.prune({ beforeSlot: slot - 120, beforeMs: 8e15, limit: 1000 });
      if (slot % 100 === 0) sizes.push(statSync(store.path).size);
    }
    expect(await countRegistrations(ns)).toBeLessThanOrEqual(131);
    // The first tenth fills the retention; after that the file's free pages are used again.
    expect(sizes.at(-1)).toBeLessThanOrEqual((sizes[3] ?? 0) * 1.25);
    await store.close();
  });

  it("reads 10,000 registrations in pages, and lets the event loop turn between them", async () => {
    const store = await openSqlite(directory);
    const ns = store.namespace("n");
    const writes = Array.from({ length: 10_000 }, (_, pinger) => ({
      kind: "registration" as const,
      registration: {
        session: 1,
        pinger,
        start: 1,
        key: `key-${pinger}`,
        since: 0,
        slot: 1,
        meta: "{}",
        revision: 0,
      },
    }));
    await ns.write([aSession(1, 1), ...writes]);
    let turns = 0;
    let reading = true;
    const turn = (): void => {
      turns++;
      if (reading) setImmediate(turn);
    };
    setImmediate(turn);
    expect(await countRegistrations(ns)).toBe(10_000);
    reading = false;
    expect(turns).toBeGreaterThanOrEqual(9);
    await store.close();
  });

  it("a key or prefix with NUL finds its own keys alone", async () => {
    const store = await openSqlite(directory);
    const ns = store.namespace("n");
    const keys = ["a", "a\0", "a\0b", "a\x01", "a\x01\x01", "a\x01\x02", "ab"];
    const writes = keys.map((key, pinger) => ({
      kind: "registration" as const,
      registration: { session: 1, pinger, start: 1, key, since: 0, slot: 1, meta: "{}", revision: 0 },
    }));
    await ns.write([aSession(1, 1), ...writes]);
    const found = async (target: string | { prefix: string }): Promise<string[]> => {
      const keysFound: string[] = [];
      for await (const { registrations } of ns.read({ select: select([target]) }))
        keysFound.push(...registrations.map(({ key }) => key));
      return keysFound.toSorted();
    };
    for (const key of keys) {
      expect(await found(key)).toEqual([key]);
      const expected = keys.filter((other) => other.startsWith(key)).toSorted();
      expect(await found({ prefix: key })).toEqual(expected);
    }
    await store.close();
  });
});
