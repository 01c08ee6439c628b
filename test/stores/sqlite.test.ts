import { chmodSync, mkdirSync, readdirSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { turn } from "../../src/lib/turn.ts";
import { loadDriver } from "../../src/stores/sqlite/driver.ts";
import { openSqlite } from "../../src/stores/sqlite/index.ts";
import {
  aRegistration,
  aSession,
  CONFIG,
  everything,
  keysOf,
  put,
  readAll,
} from "../../src/testing/contract/world.ts";
import { ManualClock, storeContract } from "../../src/testing/index.ts";
import { failure, newFolder, openIn } from "./support.ts";

let directory: string;
beforeEach(() => {
  directory = newFolder();
});

describe("SqliteStore keeps the contract", () => {
  storeContract(() => openSqlite(directory), { describe, it });
});

describe("openSqlite", () => {
  it("makes the directory, parents too", async () => {
    const store = await openIn(join(directory, "a", "b.c"));
    await store.namespace("n").configure(CONFIG);
    expect(store.path.startsWith(join(directory, "a", "b.c"))).toBe(true);
  });

  it("one file serves all stores that open the directory, under each of its names, until the last closes", async () => {
    const alias = join(directory, "alias");
    symlinkSync(directory, alias);
    const first = await openIn(directory);
    const [second, third] = [await openIn(`${directory}/`), await openIn(alias)];
    await first.namespace("n").configure(CONFIG);
    expect(await second.namespace("n").config()).toEqual(CONFIG);
    await first.close();
    await first.close();
    expect(await third.namespace("n").nextSeq()).toBe(1);
  });

  it("opens again what was closed, while it is being closed too", async () => {
    const first = await openIn(directory);
    await first.namespace("n").configure(CONFIG);
    const closing = first.close();
    const second = await openIn(directory);
    await closing;
    expect(await second.namespace("n").config()).toEqual(CONFIG);
  });

  it("rejects what is asked of a closed store as STORE_UNAVAILABLE", async () => {
    const store = await openIn(directory);
    const ns = store.namespace("n");
    await store.close();
    const message: unknown = expect.stringMatching(/closed[^.]*\.$/);
    for (const asked of [ns.config(), ns.configure(CONFIG), ns.ping(1, 1), ns.pings(0), readAll(ns, {})])
      expect(await failure(asked)).toMatchObject({ code: "STORE_UNAVAILABLE", message });
  });

  it.each([
    ["a file", "file"],
    ["a path below a file", "file/below"],
    ["nothing", ""],
    ["a path with NUL", "a\0b"],
    ["a name that is too long", "x".repeat(300)],
    ["a directory where none can be made", "/proc/heartbit/below"],
  ])("rejects %s as INVALID_OPTION, and names it", async (_, name) => {
    writeFileSync(join(directory, "file"), "x");
    const path = name === "" || name.startsWith("/") ? name : join(directory, name);
    const message: unknown = expect.stringContaining(JSON.stringify(path).slice(1, -1));
    expect(await failure(openSqlite(path))).toMatchObject({ code: "INVALID_OPTION", message });
  });

  it.each([
    ["damaged", "no SQLite file".repeat(1000)],
    ["empty", ""],
  ])("makes a new file in place of one that is %s", async (_, content) => {
    const first = await openIn(directory);
    await first.namespace("n").configure(CONFIG);
    await first.close();
    writeFileSync(first.path, content);
    const second = (await openIn(directory)).namespace("n");
    expect([await second.config(), await second.nextSeq()]).toEqual([undefined, 1]);
  });

  it("rejects a directory that may not be written as NOT_PERMITTED", async ({ skip }) => {
    skip(process.getuid?.() === 0, "root may write everywhere: run the tests as another user");
    chmodSync(directory, 0o500);
    for (const path of [directory, join(directory, "below")])
      expect((await failure(openSqlite(path))).code).toBe("NOT_PERMITTED");
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
    const store = await openIn(directory);
    const left = readdirSync(directory).filter((name) => join(directory, name) !== dirname(store.path));
    expect(left.toSorted()).toEqual(["heartbit-1-00000002", "heartbit-2-00000001", "somebody's"]);
  });

  it("takes a namespace whose name is long, or has any character", async () => {
    const store = await openIn(directory);
    for (const name of ["é".repeat(4000), "a\0b", "a\0", "a", "'; DROP TABLE records; --"]) {
      const ns = store.namespace(name);
      expect(await ns.config()).toBeUndefined();
      await ns.configure(CONFIG);
      await ns.write([put.session(aSession(1, 1)), put.registration(aRegistration(1, name.slice(0, 9), 1))]);
      expect(keysOf(await readAll(ns, { select: everything() }))).toEqual([name.slice(0, 9)]);
    }
  });
});

describe("SqliteStore", () => {
  it("stamps with the time of the clock that it was given", async () => {
    const clock = new ManualClock({ start: 12_345 });
    const store = await openIn(directory, { clock });
    expect(store.clock).toBe(clock);
    expect(await store.namespace("n").time()).toBe(12_345);
  });

  it("writes nothing further once a write that takes many changes is given up", async () => {
    const ns = (await openIn(directory)).namespace("n");
    const giveUp = new AbortController();
    const many = Array.from({ length: 20_000 }, (_, pinger) => aRegistration(1, `k${pinger}`, 1, { pinger }));
    const error = failure(ns.write(many.map(put.registration), giveUp.signal));
    const stored = async (): Promise<number> => (await ns.countOpen(1)).count;
    while ((await stored()) === 0) await turn();
    giveUp.abort();
    expect(await error).toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(await stored()).toBeLessThan(many.length);
  });

  it("removes the rest of a namespace when it prunes, if the process that dropped it has ended before it was done", async () => {
    const dropper = await openIn(directory);
    const dropped = dropper.namespace("n");
    await dropped.configure(CONFIG);
    const many = Array.from({ length: 5000 }, (_, pinger) => aRegistration(1, `k${pinger}`, 1, { pinger }));
    await dropped.write(many.map(put.registration));
    const error = failure(dropped.drop());
    while ((await dropped.config()) !== undefined) await turn();
    await dropper.close();
    expect(await error).toMatchObject({ code: "STORE_UNAVAILABLE" });

    const store = await openIn(directory);
    const file = loadDriver()(store.path);
    const count = (table: string): unknown => file.prepare(`SELECT count(*) AS n FROM ${table}`).get();
    expect(count("records")).not.toEqual({ n: 0 });
    const other = store.namespace("other");
    await other.configure(CONFIG);
    await other.prune({ beforeSlot: 0, beforeMs: 0, limit: 1000 });
    expect([count("records"), count("namespaces")]).toEqual([{ n: 0 }, { n: 1 }]);
    file.close();
  });

  it("stays as large as what lives and has lately died, through 3,000 restarts", async () => {
    const store = await openIn(directory);
    const ns = store.namespace("n");
    await ns.configure(CONFIG);
    const sizes: number[] = [];
    for (let slot = 1; slot <= 3000; slot++) {
      const seq = await ns.nextSeq();
      const meta = JSON.stringify("m".repeat((slot * 31) % 700));
      const registration = aRegistration(seq, `key-${slot % 50}`, slot, { since: 0, meta });
      await ns.write([put.session(aSession(seq, slot, { opened: 0 })), put.registration(registration)]);
      for (const pinged of [seq, seq - 1]) await ns.ping(slot, pinged);
      if (slot % 3 === 0) await ns.write([put.endSession(seq, slot)]);
      if (slot % 10 === 0) await ns.prune({ beforeSlot: slot - 120, beforeMs: 8e15, limit: 1000 });
      if (slot % 100 === 0) sizes.push(statSync(store.path).size);
    }
    expect((await readAll(ns, { select: everything() })).registrations.size).toBeLessThanOrEqual(131);
    // The first tenth fills the retention; after that the file's free pages are used again.
    expect(sizes.at(-1)).toBeLessThanOrEqual((sizes[3] ?? 0) * 1.25);
  });
});
