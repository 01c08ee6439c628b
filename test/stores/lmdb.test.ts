import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EVERYTHING } from "../../src/core/selection.ts";
import type { Namespace } from "../../src/core/store.ts";
import { openLmdb } from "../../src/stores/lmdb.ts";
import { ManualClock, storeContract } from "../../src/testing/index.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "heartbit-lmdb-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe("LmdbStore keeps the contract", () => {
  storeContract(() => openLmdb(directory), { describe, it });
});

const CONFIG = { version: 1, periodMs: 5000, offset: 0, retentionSlots: 120, base: 0 };
const aSession = (seq: number, slot: number) =>
  ({ kind: "session", session: { seq, host: "h", pid: 1, opened: 0, slot } }) as const;

async function countRegistrations(ns: Namespace): Promise<number> {
  let count = 0;
  for await (const { registrations } of ns.read({ select: EVERYTHING })) count += registrations.length;
  return count;
}

describe("openLmdb", () => {
  it("makes the directory, parents too", async () => {
    const store = await openLmdb(join(directory, "a", "b.c"));
    await store.namespace("n").configure(CONFIG);
    expect(store.path.startsWith(join(directory, "a", "b.c"))).toBe(true);
    await store.close();
  });

  it("shares one file among all that open the directory in this process, until the last closes", async () => {
    const alias = join(directory, "alias");
    symlinkSync(directory, alias);
    const open = [openLmdb(directory), openLmdb(`${directory}/`), openLmdb(alias)] as const;
    const [first, second, third] = await Promise.all(open);
    await first.namespace("n").configure(CONFIG);
    expect(await second.namespace("n").config()).toEqual(CONFIG);
    await first.close();
    await first.close();
    expect(await third.namespace("n").nextSeq()).toBe(1);
    await Promise.all([second.close(), third.close()]);
  });

  it("opens again what was closed, while it is being closed too", async () => {
    const first = await openLmdb(directory);
    await first.namespace("n").configure(CONFIG);
    const closing = first.close();
    const second = await openLmdb(directory);
    await closing;
    expect(await second.namespace("n").config()).toEqual(CONFIG);
    await second.close();
  });

  it("rejects what is asked of a closed store as STORE_UNAVAILABLE", async () => {
    const store = await openLmdb(directory);
    const ns = store.namespace("n");
    await store.close();
    for (const ask of [
      ns.config(),
      ns.configure(CONFIG),
      ns.ping(1, [1]),
      ns.pings(0),
      countRegistrations(ns),
    ])
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
    await expect(openLmdb(path + below)).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringContaining(path + below),
    });
  });

  it("rejects a directory where none can be made as INVALID_OPTION", async ({ skip }) => {
    skip(process.platform !== "linux", "only Linux has /proc");
    await expect(openLmdb("/proc/heartbit/below")).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });

  it.each(["", "a\0b", "x".repeat(300)])("rejects the path %j as INVALID_OPTION", async (path) => {
    await expect(openLmdb(path)).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });

  it("rejects a file that is no LMDB file as INVALID_OPTION", async () => {
    const store = await openLmdb(directory);
    await store.close();
    writeFileSync(store.path, "no LMDB file".repeat(1000));
    await expect(openLmdb(directory)).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringContaining(store.path),
    });
  });

  it("rejects a directory that may not be written as NOT_PERMITTED", async ({ skip }) => {
    skip(process.getuid?.() === 0, "root may write everywhere: run the tests as another user");
    chmodSync(directory, 0o500);
    await expect(openLmdb(directory)).rejects.toMatchObject({ code: "NOT_PERMITTED" });
    await expect(openLmdb(join(directory, "below"))).rejects.toMatchObject({ code: "NOT_PERMITTED" });
    chmodSync(directory, 0o700);
  });

  it("deletes the files of earlier runs of the system once they are a day old", async () => {
    const old = ["heartbit-00000001.mdb", "heartbit-00000001.mdb-lock"].map((name) => join(directory, name));
    const young = join(directory, "heartbit-00000002.mdb");
    const other = join(directory, "somebody's.mdb");
    for (const path of [...old, young, other]) writeFileSync(path, "x");
    const twoDaysAgo = Date.now() / 1000 - 2 * 86_400;
    for (const path of [...old, other]) utimesSync(path, twoDaysAgo, twoDaysAgo);
    const store = await openLmdb(directory);
    await store.close();
    const left = readdirSync(directory);
    expect(left).toEqual(expect.arrayContaining(["heartbit-00000002.mdb", "somebody's.mdb"]));
    expect(left.filter((name) => name.includes("00000001"))).toEqual([]);
  });

  it("refuses a namespace whose name is too long for LMDB", async () => {
    const store = await openLmdb(directory);
    expect(() => store.namespace("é".repeat(401))).toThrow("802 bytes");
    const ns = store.namespace("é".repeat(400));
    await ns.configure(CONFIG);
    const registration = { session: 1, pinger: 1, start: 1, since: 0, slot: 1, meta: "{}", revision: 0 };
    await ns.write([
      aSession(1, 1),
      { kind: "registration", registration: { ...registration, key: "k".repeat(1024) } },
    ]);
    expect(await countRegistrations(ns)).toBe(1);
    await store.close();
  });
});

describe("LmdbStore", () => {
  it("stamps and tells the time of the clock that it was given", async () => {
    const clock = new ManualClock({ start: 12_345 });
    const store = await openLmdb(directory, { clock });
    expect(store.clock).toBe(clock);
    expect(await store.namespace("n").time()).toBe(12_345);
    await store.close();
  });

  it("stays as large as what lives and has lately died, through 3,000 restarts", async () => {
    const store = await openLmdb(directory);
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
      await ns.ping(slot, [seq, seq - 1]);
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
    const store = await openLmdb(directory);
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
});
