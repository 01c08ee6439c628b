/** Real processes that share a SQLite directory, and are killed, stopped and started while they write. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { hasBit, type PingRecord } from "../../src/core/bits.ts";
import { EVERYTHING, select } from "../../src/core/selection.ts";
import type { RegistrationRecord } from "../../src/core/records.ts";
import type { Cursor, Namespace } from "../../src/core/store.ts";
import { loadDriver } from "../../src/stores/sqlite/driver.ts";
import { openSqlite, type SqliteStore } from "../../src/stores/sqlite/index.ts";
import { answered, until } from "../support/wait.ts";

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
const ROUNDS = Array.from(
  { length: Number(process.env["HEARTBIT_KILL_ROUNDS"] ?? 1) },
  (_, index) => index + 1,
);
const LANES = 3;

const WORKER = resolve(import.meta.dirname, "sqlite-worker.mjs");
const built = inject("built");
let directory: string;
let store: SqliteStore;
let ns: Namespace;
const children = new Set<ChildProcess>();

/** Whether processes may be put into pid namespaces of their own here: on Linux, as root. */
const hasNamespaces =
  spawnSync("unshare", ["--pid", "--fork", "--kill-child", "--mount-proc", "true"]).status === 0;

/** A worker, wrapped in another command where one is given. */
function start(task: string, path = directory, wrap: readonly string[] = []): ChildProcess {
  const command = [...wrap, process.execPath, WORKER, pathToFileURL(built).href, path, task];
  const child = spawn(command[0] ?? "", command.slice(1), { stdio: ["ignore", 2, 2, "ipc"] });
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}

/** Resolves when the process ends, with its exit status or the signal. */
async function end(child: ChildProcess): Promise<number | string> {
  const [code, signal] = await once(child, "exit");
  return code ?? signal;
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "heartbit-sqlite-"));
  store = await openSqlite(directory);
  ns = store.namespace("shared");
  await ns.configure({ version: 1, periodMs: 1000, offset: 0, retentionSlots: 120, base: 0 });
});
afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  await store.close();
  rmSync(directory, { recursive: true, force: true });
});

async function readRegistrations(since?: Cursor): Promise<Map<string, RegistrationRecord>> {
  const registrations = new Map<string, RegistrationRecord>();
  for await (const page of ns.read({ select: EVERYTHING, since }))
    for (const found of page.registrations) registrations.set(`${found.session}.${found.pinger}`, found);
  return registrations;
}

/** Checks that all that was acknowledged is stored, and found in each way. */
async function expectStored(acknowledged: readonly Acknowledged[], since: Cursor | undefined): Promise<void> {
  const ways = [await readRegistrations(), await readRegistrations(since)];
  const pings = new Map<string, PingRecord>();
  for (const record of await ns.pings(0)) pings.set(`${record.slot}.${record.segment}`, record);
  for (const { seq, pinger, key, length, ended } of acknowledged) {
    for (const registrations of ways) {
      const found = registrations.get(`${seq}.${pinger}`);
      expect([found?.key, found?.meta.length, found?.last]).toEqual([
        key,
        length,
        ended ? 10 + pinger : undefined,
      ]);
    }
    const record = pings.get(`${10 + pinger}.${Math.floor(seq / 1024)}`);
    expect(record !== undefined && hasBit(record, seq)).toBe(true);
  }
  for (const { key, seq } of acknowledged.slice(0, 50)) {
    const found: number[] = [];
    for await (const page of ns.read({ select: select([key]) }))
      found.push(...page.registrations.map(({ session }) => session));
    expect(found).toContain(seq);
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
  it.each(ROUNDS)(
    "may be killed with -9 while they write: nothing acknowledged is lost, no number is given twice (round %i)",
    async () => {
      const seqs: number[] = [];
      const acknowledged: Acknowledged[] = [];
      let killed = 0;
      let cursor: Cursor | undefined;
      for await (const page of ns.read({ select: EVERYTHING })) ({ cursor } = page);

      /** A worker that dies once it has had `lives` acknowledgements; the test goes on when it is gone. */
      const run = async (lives: number): Promise<void> => {
        const child = start("write");
        let count = 0;
        child.on("message", (message: { seq: number } | Acknowledged) => {
          if ("pinger" in message) acknowledged.push(message);
          else seqs.push(message.seq);
          if ("pinger" in message && ++count === lives) child.kill("SIGKILL");
        });
        expect(await end(child)).toBe("SIGKILL");
      };
      const steady = start("write");
      steady.on("message", (message: { seq: number } | Acknowledged) => {
        if ("pinger" in message) acknowledged.push(message);
        else seqs.push(message.seq);
      });
      await Promise.all(
        Array.from({ length: LANES }, async (_, lane) => {
          for (let round = 0; round < KILLS / LANES; round++) {
            await run(1 + ((round * 13 + lane * 7) % 40));
            if (++killed % 10 === 0) expect(integrity()).toBe("ok");
          }
        }),
      );
      steady.send("stop");
      expect(await end(steady)).toBe(0);

      expect(new Set(seqs).size).toBe(seqs.length);
      expect(killed).toBe(KILLS);
      expect(acknowledged.length).toBeGreaterThan(200);
      expect(integrity()).toBe("ok");
      await expectStored(acknowledged, cursor);
      // And the file goes on being written.
      expect(await ns.nextSeq()).toBeGreaterThan(Math.max(...seqs));
      await ns.prune({ beforeSlot: 1e6, beforeMs: 8e15, limit: 1e6 });
      expect((await readRegistrations()).size).toBe(0);
    },
  );

  it("may be stopped in the middle of a write: the programs of the others go on, and their writes when it does", async () => {
    const busy = start("write");
    const acknowledged: Acknowledged[] = [];
    busy.on(
      "message",
      (message: object) => "pinger" in message && acknowledged.push(message as Acknowledged),
    );
    await once(busy, "message");
    for (let round = 0; round < 20; round++) {
      busy.kill("SIGSTOP");
      const ping = answered(() => ns.ping(round + 1, 999));
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
      await ns.pings(0); // reading waits for nobody
      busy.kill("SIGCONT");
      await ping;
      await once(busy, "message");
    }
    busy.send("stop");
    expect(await end(busy)).toBe(0);
    const pings = await ns.pings(0);
    expect(pings.filter((record) => hasBit(record, 999))).toHaveLength(20);
    await expectStored(acknowledged, undefined);
  });

  it("write 2,000 registrations at once beside others that write without a pause", async () => {
    const busy = [1, 2, 3].map(() => start("write"));
    await Promise.all(busy.map((child) => once(child, "message")));
    const seq = await answered(() => ns.nextSeq());
    const registration = { session: seq, start: 1, since: 1, slot: 10, meta: "{}", revision: 0 };
    const many = Array.from({ length: 2000 }, (_, pinger) => ({
      kind: "registration" as const,
      registration: { ...registration, pinger, key: `many-${pinger}` },
    }));
    await answered(() => ns.write(many));
    expect(busy.map(({ exitCode }) => exitCode)).toEqual([null, null, null]);
    const registrations = await readRegistrations();
    const own = [...registrations.values()].filter(({ session }) => session === seq);
    expect(own).toHaveLength(2000);
  });

  it("open a new directory at the same moment: one store, and a number of its own for each", async () => {
    const path = join(directory, "new");
    const workers = Array.from({ length: 16 }, () => start("ping", path));
    const seqs = await Promise.all(
      workers.map(async (child) => ((await once(child, "message")) as [{ seq: number }])[0].seq),
    );
    expect(seqs.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, index) => index + 1));
    expect(readdirSync(path)).toHaveLength(1);
  });

  it.skipIf(!hasNamespaces)(
    "may be the first process of a container each: their equal numbers do not matter",
    async () => {
      const acknowledged: Acknowledged[] = [];
      const containers = [1, 2].map(() => {
        const child = start("write", directory, [
          "unshare",
          "--pid",
          "--fork",
          "--kill-child",
          "--mount-proc",
        ]);
        child.on("message", (message: object) => {
          if ("pinger" in message) acknowledged.push(message as Acknowledged);
        });
        return child;
      });
      const [killed, steady] = containers;
      await Promise.all(containers.map((child) => once(child, "message")));
      await until(() => new Set(acknowledged.map(({ seq }) => seq)).size === 2);
      killed?.kill("SIGKILL");
      const before = acknowledged.length;
      await until(() => acknowledged.length > before + 50);
      steady?.send("stop");
      if (steady !== undefined) expect(await end(steady)).toBe(0);
      await expectStored(acknowledged, undefined);
    },
  );

  it("ping 16 at a time (measured, without a bound)", async () => {
    const workers = Array.from({ length: 16 }, () => start("ping"));
    const seqs = await Promise.all(
      workers.map(async (child) => ((await once(child, "message")) as [{ seq: number }])[0].seq),
    );
    expect(new Set(seqs).size).toBe(16);
    const times = await Promise.all(
      workers.map(async (child) => {
        const message = once(child, "message") as Promise<[{ times: number[] }]>;
        child.send("go");
        return (await message)[0].times;
      }),
    );
    const sorted = times.flat().toSorted((a, b) => a - b);
    const at = (share: number): string => (sorted[Math.floor(sorted.length * share)] ?? NaN).toFixed(2);
    console.log(`SQLite, 16 processes: a ping takes ${at(0.5)} ms, at the 99th percentile ${at(0.99)} ms`);
    const pings = await ns.pings(0);
    for (const seq of seqs) expect(pings.filter((record) => hasBit(record, seq))).toHaveLength(60);
  });

  it("are refused what finds no space, with the reason, and go on; what was written before is there", async () => {
    // A limit on the size of files, which root has too. Without the trap it would end the process.
    const limited = `trap "" XFSZ; ulimit -f 2000; exec "$@"`;
    const args = [
      "-c",
      limited,
      "sh",
      process.execPath,
      WORKER,
      pathToFileURL(built).href,
      directory,
      "fill",
    ];
    const child = spawn("sh", args, { stdio: ["ignore", "ignore", "pipe", "ipc"] });
    children.add(child);
    const ended = end(child);
    let said = "";
    child.stderr?.on("data", (text: Buffer) => (said = `${said}${text.toString()}`.slice(-2000)));
    const told = once(child, "message") as Promise<[{ seq: number; refusals: string[] }]>;
    const code = await ended;
    expect(code, said).toBe(0);
    const [{ seq, refusals }] = await told;
    expect(refusals).not.toEqual([]);
    for (const refusal of refusals)
      expect(refusal).toMatch(/^STORE_UNAVAILABLE: The SQLite store \S+ failed: .*\.$/);
    expect(refusals.join()).toMatch(/disk I\/O error|disk is full/);
    expect(await ns.nextSeq()).toBe(seq + 1);
    expect((await readRegistrations()).size).toBeGreaterThan(10);
  });

  it("end by themselves once their store is closed", async () => {
    const child = start("once");
    expect(await end(child)).toBe(0);
  });
});
