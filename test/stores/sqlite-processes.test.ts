/** Real processes that share a SQLite directory, and are killed, stopped and started while they write. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { hasBit, type PingRecord } from "../../src/core/bits.ts";
import type { Cursor, Namespace } from "../../src/core/store.ts";
import { loadDriver } from "../../src/stores/sqlite/driver.ts";
import type { SqliteStore } from "../../src/stores/sqlite/index.ts";
import { CONFIG, everything, keysOf, only, readAll } from "../../src/testing/contract/world.ts";
import { until } from "../support/wait.ts";
import { newFolder, openIn } from "./support.ts";

/** What was acknowledged to a worker. */
interface Acknowledged {
  readonly seq: number;
  readonly pinger: number;
  readonly key: string;
  readonly length: number;
  readonly ended: boolean;
}

/** So many processes are killed while they write, in each round; HEARTBIT_KILL_ROUNDS=10 for a thorough run. */
const KILLS = 21;
const ROUNDS = Array(Number(process.env["HEARTBIT_KILL_ROUNDS"] ?? 1)).keys();
const LANES = 3;

const WORKER = resolve(import.meta.dirname, "sqlite-worker.mjs");
/** A pid namespace of its own, in which the command is the first process: on Linux, as root. */
const CONTAINER = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
const hasContainers = spawnSync(CONTAINER[0] ?? "", [...CONTAINER.slice(1), "true"]).status === 0;

let directory: string;
let store: SqliteStore;
let ns: Namespace;
const children = new Set<ChildProcess>();
let acknowledged: Acknowledged[];
/** The numbers that workers were given. */
let seqs: number[];

beforeEach(async () => {
  directory = newFolder();
  store = await openIn(directory);
  ns = store.namespace("shared");
  await ns.configure(CONFIG);
  acknowledged = [];
  seqs = [];
});
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
});

/** A worker, wrapped in another command where one is given. Notes what it is given, and what was acknowledged to it. */
function start(task: string, path = directory, wrap: readonly string[] = []): ChildProcess {
  const command = [...wrap, process.execPath, WORKER, pathToFileURL(inject("built")).href, path, task];
  const child = spawn(command[0] ?? "", command.slice(1), { stdio: ["ignore", 2, 2, "ipc"] });
  children.add(child);
  child.once("exit", () => children.delete(child));
  child.on("message", (message: Acknowledged | { seq: number }) => {
    if ("pinger" in message) acknowledged.push(message);
    else seqs.push(message.seq);
  });
  return child;
}

/** Resolves when the process ends, with its exit status or the signal. */
async function end(child: ChildProcess): Promise<number | string> {
  const [code, signal] = await once(child, "exit");
  return code ?? signal;
}

async function stop(child: ChildProcess): Promise<void> {
  child.send("stop");
  expect(await end(child)).toBe(0);
}

/** Checks that all that was acknowledged is stored, and found in each way. */
async function expectStored(since?: Cursor): Promise<void> {
  const select = everything();
  const ways = [await readAll(ns, { select }), await readAll(ns, { select, since })];
  const pings = new Map<string, PingRecord>();
  for (const record of await ns.pings(0)) pings.set(`${record.slot}.${record.segment}`, record);
  for (const { seq, pinger, key, length, ended } of acknowledged) {
    for (const { registrations } of ways) {
      const found = registrations.get(`${seq}.${pinger}.1`);
      const last = ended ? 10 + pinger : undefined;
      expect([found?.key, found?.meta.length, found?.last]).toEqual([key, length, last]);
    }
    const record = pings.get(`${10 + pinger}.${Math.floor(seq / 1024)}`);
    expect(record !== undefined && hasBit(record, seq)).toBe(true);
  }
  for (const { key, seq, pinger } of acknowledged.slice(0, 50)) {
    const { registrations } = await readAll(ns, { select: only(key) });
    expect([...registrations.keys()]).toContain(`${seq}.${pinger}.1`);
  }
}

/** What SQLite itself finds wrong with the file. */
function integrity(): string {
  const connection = loadDriver()(store.path);
  const row = connection.prepare("PRAGMA integrity_check").get() as { integrity_check: string };
  connection.close();
  return row.integrity_check;
}

describe("processes that share a SQLite directory", () => {
  it.each([...ROUNDS])(
    "may be killed with -9 while they write: nothing acknowledged is lost, no number is given twice (round %i)",
    async () => {
      const { cursor } = await readAll(ns, {});
      let killed = 0;
      /** A worker that dies once it has had `lives` acknowledgements; the test goes on when it is gone. */
      const run = async (lives: number): Promise<void> => {
        const child = start("write");
        let count = 0;
        child.on("message", (message: object) => {
          if ("pinger" in message && ++count === lives) child.kill("SIGKILL");
        });
        expect(await end(child)).toBe("SIGKILL");
      };
      const steady = start("write");
      await Promise.all(
        Array.from({ length: LANES }, async (_, lane) => {
          for (let round = 0; round < KILLS / LANES; round++) {
            await run(1 + ((round * 13 + lane * 7) % 40));
            if (++killed % 10 === 0) expect(integrity()).toBe("ok");
          }
        }),
      );
      await stop(steady);

      expect(new Set(seqs).size).toBe(seqs.length);
      expect(killed).toBe(KILLS);
      expect(acknowledged.length).toBeGreaterThan(200);
      expect(integrity()).toBe("ok");
      await expectStored(cursor);
      // And the file goes on being written.
      expect(await ns.nextSeq()).toBeGreaterThan(Math.max(...seqs));
      await ns.prune({ beforeSlot: 1e6, beforeMs: 8e15, limit: 1e6 });
      expect(keysOf(await readAll(ns, { select: everything() }))).toEqual([]);
    },
  );

  it("open a new directory at the same moment: one store, and a number of its own for each; then they end by themselves", async () => {
    const path = join(directory, "new");
    const workers = Array.from({ length: 16 }, () => start("once", path));
    const ended = workers.map(async (child) => {
      const told = once(child, "message");
      expect(await end(child)).toBe(0);
      await told; // it may arrive later than the end
    });
    await Promise.all(ended);
    expect(seqs.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, index) => index + 1));
    expect(readdirSync(path)).toHaveLength(1);
  });

  it.skipIf(!hasContainers)(
    "may be the first process of a container each: their equal numbers do not matter",
    async () => {
      const killed = start("write", directory, CONTAINER);
      const steady = start("write", directory, CONTAINER);
      await until(() => new Set(acknowledged.map(({ seq }) => seq)).size === 2);
      killed.kill("SIGKILL");
      const before = acknowledged.length;
      await until(() => acknowledged.length > before + 50);
      await stop(steady);
      await expectStored();
    },
  );

  it("are refused what finds no space, with the reason, and go on; what was written before is there", async () => {
    // A limit on the size of files, which root has too. Without the trap it would end the process.
    const child = start("fill", directory, ["sh", "-c", `trap "" XFSZ; ulimit -f 2000; exec "$@"`, "sh"]);
    const told = once(child, "message") as Promise<[{ seq: number; refusals: string[] }]>;
    expect(await end(child)).toBe(0);
    const [{ seq, refusals }] = await told;
    expect(refusals).not.toEqual([]);
    for (const refusal of refusals)
      expect(refusal).toMatch(/^STORE_UNAVAILABLE: The SQLite store \S+ failed: .*\.$/);
    expect(refusals.join()).toMatch(/disk I\/O error|disk is full/);
    expect(await ns.nextSeq()).toBe(seq + 1);
    expect((await readAll(ns, { select: everything() })).registrations.size).toBeGreaterThan(10);
  });
});
