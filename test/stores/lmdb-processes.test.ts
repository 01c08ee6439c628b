/** Real processes that share an LMDB directory, and are killed, stopped and started while they write. */
import { type ChildProcess, execFileSync, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { hasBit } from "../../src/core/bits.ts";
import { EVERYTHING, select } from "../../src/core/selection.ts";
import type { RegistrationRecord } from "../../src/core/records.ts";
import type { Cursor, Namespace } from "../../src/core/store.ts";
import { type LmdbStore, openLmdb } from "../../src/stores/lmdb.ts";

/** What a worker has been told is stored. */
interface Acknowledged {
  readonly seq: number;
  readonly pinger: number;
  readonly key: string;
  readonly length: number;
  readonly ended: boolean;
}

const WORKER = resolve(import.meta.dirname, "lmdb-worker.mjs");
const built = inject("built");
let directory: string;
let store: LmdbStore;
let ns: Namespace;
const children = new Set<ChildProcess>();

function start(task: string): ChildProcess {
  const child = fork(WORKER, [pathToFileURL(built).href, directory, task], {
    stdio: ["ignore", 2, 2, "ipc"],
  });
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
  directory = mkdtempSync(join(tmpdir(), "heartbit-lmdb-"));
  store = await openLmdb(directory);
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
    for (const registration of page.registrations)
      registrations.set(`${registration.session}.${registration.pinger}`, registration);
  return registrations;
}

/** Checks that all that was acknowledged is stored, and found in each way. */
async function expectStored(acknowledged: readonly Acknowledged[], since: Cursor | undefined): Promise<void> {
  const ways = [await readRegistrations(), await readRegistrations(since)];
  const pings = await ns.pings(0);
  for (const { seq, pinger, key, length, ended } of acknowledged) {
    for (const registrations of ways) {
      const registration = registrations.get(`${seq}.${pinger}`);
      expect([registration?.key, registration?.meta.length, registration?.last]).toEqual([
        key,
        length,
        ended ? 10 + pinger : undefined,
      ]);
    }
    const slot = 10 + pinger;
    expect(pings.some((record) => record.slot === slot && hasBit(record, seq))).toBe(true);
  }
  for (const { key, seq } of acknowledged.slice(0, 50)) {
    const found: number[] = [];
    for await (const page of ns.read({ select: select([key]) }))
      found.push(...page.registrations.map((registration) => registration.session));
    expect(found).toContain(seq);
  }
}

describe("processes that share an LMDB directory", () => {
  it("may be killed with -9 while they write: nothing acknowledged is lost, no number is given twice", async () => {
    const seqs: number[] = [];
    const acknowledged: Acknowledged[] = [];
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
      [0, 1, 2].map(async (lane) => {
        for (let round = 0; round < 7; round++) await run(1 + ((round * 13 + lane * 7) % 40));
      }),
    );
    steady.send("stop");
    expect(await end(steady)).toBe(0);

    expect(new Set(seqs).size).toBe(seqs.length);
    expect(acknowledged.length).toBeGreaterThan(200);
    await expectStored(acknowledged, cursor);
    // And the file goes on being written.
    expect(await ns.nextSeq()).toBeGreaterThan(Math.max(...seqs));
    await ns.prune({ beforeSlot: 1e6, beforeMs: 8e15, limit: 1e6 });
    expect((await readRegistrations()).size).toBe(0);
  });

  it("may be stopped in the middle of a write: the programs of the others go on, and their writes when it does", async () => {
    const busy = start("write");
    const acknowledged: Acknowledged[] = [];
    busy.on(
      "message",
      (message: object) => "pinger" in message && acknowledged.push(message as Acknowledged),
    );
    await once(busy, "message");
    for (let round = 0; round < 40; round++) {
      busy.kill("SIGSTOP");
      const ping = ns.ping(round + 1, [999]);
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
      await ns.pings(0); // reading waits for nobody
      busy.kill("SIGCONT");
      await ping;
      await once(busy, "message");
    }
    busy.send("stop");
    expect(await end(busy)).toBe(0);
    const pings = await ns.pings(0);
    expect(pings.filter((record) => hasBit(record, 999))).toHaveLength(40);
    await expectStored(acknowledged, undefined);
  });

  it("ping 32 at a time (measured, not judged)", async () => {
    const workers = Array.from({ length: 32 }, () => start("ping"));
    const seqs = await Promise.all(
      workers.map(async (child) => ((await once(child, "message")) as [{ seq: number }])[0].seq),
    );
    expect(new Set(seqs).size).toBe(32);
    const times = await Promise.all(
      workers.map(async (child) => {
        const message = once(child, "message") as Promise<[{ times: number[] }]>;
        child.send("go");
        return (await message)[0].times;
      }),
    );
    const sorted = times.flat().toSorted((a, b) => a - b);
    const at = (share: number): string => (sorted[Math.floor(sorted.length * share)] ?? NaN).toFixed(2);
    console.log(`LMDB, 32 processes: a ping takes ${at(0.5)} ms, at the 99th percentile ${at(0.99)} ms`);
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
    if (code === "SIGABRT") {
      // lmdb 3.5.6 writes its message of a failed write, of up to 120 bytes, into a buffer of 100 (`last_error` in its
      // mdb.c), and where that spoils the heap, the process ends. Nothing of ours can prevent it; what was written stays.
      expect(said).toMatch(/^Write error: File too large/m);
      expect((await readRegistrations()).size).toBeGreaterThan(10);
      return;
    }
    expect(code, said).toBe(0);
    const [{ seq, refusals }] = await told;
    expect(refusals).not.toEqual([]);
    for (const refusal of refusals)
      expect(refusal).toMatch(/^STORE_UNAVAILABLE: The LMDB store failed: .*\.$/);
    expect(refusals.join()).toMatch(/Input\/output error|No space|File too large/);
    expect(await ns.nextSeq()).toBe(seq + 1);
    expect((await readRegistrations()).size).toBeGreaterThan(10);
  });

  it("end by themselves once their store is closed", async () => {
    const child = start("once");
    expect(await end(child)).toBe(0);
  });

  it("are told what to install where the package lmdb is missing", async () => {
    const bare = mkdtempSync(join(tmpdir(), "heartbit-bare-"));
    cpSync(built, bare, { recursive: true });
    writeFileSync(join(bare, "package.json"), '{ "type": "module" }');
    const script = `import(${JSON.stringify(`${pathToFileURL(bare).href}/stores/lmdb.js`)})
      .then(({ openLmdb }) => openLmdb(${JSON.stringify(directory)}))
      .catch(({ code, message }) => console.log(code, message));`;
    const output = execFileSync(process.execPath, ["-e", script], { encoding: "utf8", cwd: bare });
    rmSync(bare, { recursive: true });
    expect(output).toMatch(/^UNSUPPORTED_SERVER .*`npm install lmdb`/);
  });
});
