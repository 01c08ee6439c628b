/**
 * docs/format.md is enough: a program that knows nothing but that page, and the driver, holds keys that heartbit tells,
 * and tells keys that heartbit holds.
 */
import { type Collection, type Db, type Document, Int32, MongoClient } from "mongodb";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type KeyState, Presence } from "../../src/index.ts";
import { isHeartbitError } from "../../src/core/errors.ts";
import { newDatabase } from "../servers/database.ts";
import { until } from "../support/wait.ts";

const PERIOD_MS = 1500;
const NAME = "shared";
const RETENTION = 120;
const MAJORITY = { writeConcern: { w: "majority" } } as const;
const OPEN = 2 ** 53 - 1;

const uri = newDatabase();
let client: MongoClient;
let presence: Presence;
let foreign: Foreign;
beforeAll(async () => {
  client = await new MongoClient(uri).connect();
  presence = await Presence.open(uri, { name: NAME, periodMs: PERIOD_MS });
  foreign = await Foreign.open(client.db());
});
afterAll(async () => {
  await presence.close();
  await client.close();
});

interface Stored extends Document {
  _id: string | number;
}

/** What a program in another language would do, step by step as the page says. */
class Foreign {
  readonly #db: Db;
  readonly #seq: number;
  /** Whether the answer to a ping has said that there is mail. */
  hasMail = false;

  private constructor(db: Db, seq: number) {
    this.#db = db;
    this.#seq = seq;
  }

  static async open(db: Db): Promise<Foreign> {
    const meta = db.collection<Stored>(`${NAME}.meta`);
    const config = await meta.findOne({ _id: "config" });
    expect(config).toMatchObject({ version: 2, period: PERIOD_MS, offset: 0 });
    const counter = await meta.findOneAndUpdate(
      { _id: "sessions" },
      { $inc: { seq: 1 } },
      { upsert: true, returnDocument: "after" },
    );
    const own = new Foreign(db, Number(config?.["base"]) + Number(counter?.["seq"]));
    const slot = await own.ping();
    const constants = { session: own.#seq, host: "elsewhere", pid: 7, opened: new Date() };
    await own.#of("records").updateOne(
      { _id: own.#seq, changed: { $exists: false } },
      { $setOnInsert: { ...constants, slot, last: OPEN }, $currentDate: { changed: true } },
      { upsert: true, ...MAJORITY },
    );
    return own;
  }

  #of(part: string): Collection<Stored> {
    return this.#db.collection<Stored>(`${NAME}.${part}`);
  }

  async position(): Promise<number> {
    const clock = await this.#of("meta").findOneAndUpdate(
      { _id: "clock" },
      { $currentDate: { now: true } },
      { upsert: true, returnDocument: "after", writeConcern: { w: 1 } },
    );
    const now: unknown = clock?.["now"];
    return (now as Date).getTime() / PERIOD_MS;
  }

  async slot(): Promise<number> {
    return Math.floor(await this.position());
  }

  async ping(): Promise<number> {
    const slot = await this.slot();
    const word = Math.floor((this.#seq % 1024) / 32);
    const expireAt = new Date(Date.now() + 2 * RETENTION * PERIOD_MS);
    const mask = (1 << (this.#seq % 32)) | 0;
    const document = await this.#of("pings").findOneAndUpdate(
      { _id: `${slot}.${Math.floor(this.#seq / 1024)}` },
      {
        $bit: { [word]: { or: new Int32(mask) } },
        $inc: { count: 1 },
        $currentDate: { now: true },
        $setOnInsert: { slot, expireAt },
      },
      { upsert: true, returnDocument: "after", projection: { now: 1, [`mail.${word}`]: 1 }, ...MAJORITY },
    );
    if ((Number(document?.["mail"]?.[word] ?? 0) & mask) !== 0) this.hasMail = true;
    return slot;
  }

  /** Its registrations that somebody has ended. */
  async ended(): Promise<Document[]> {
    return this.#of("records")
      .find({ session: this.#seq, last: { $lt: OPEN } })
      .toArray();
  }

  async hold(pinger: number, key: string, meta: unknown): Promise<string> {
    const id = `${this.#seq}.${pinger}.1`;
    const own = { key, session: this.#seq, pinger, start: 1, since: new Date() };
    await this.#of("records").updateOne(
      { _id: id },
      {
        $setOnInsert: { ...own, meta: JSON.stringify(meta), revision: 0 },
        $max: { slot: await this.slot() },
        $min: { last: OPEN },
        $currentDate: { changed: true },
      },
      { upsert: true, ...MAJORITY },
    );
    return id;
  }

  async update(id: string, meta: unknown, revision: number): Promise<void> {
    await this.#of("records").updateOne(
      { _id: id, revision: { $lt: revision } },
      { $set: { meta: JSON.stringify(meta), revision }, $currentDate: { changed: true } },
      MAJORITY,
    );
  }

  async end(id: string, last: number): Promise<void> {
    await this.#of("records").updateOne(
      { _id: id, last: { $gt: last } },
      { $min: { last }, $currentDate: { changed: true } },
      MAJORITY,
    );
  }

  /** Who is alive, by the rule, from all that is stored. */
  async living(): Promise<Set<string>> {
    const j = Math.floor((await this.position()) - 0.5);
    const bits = new Map<number, number>(); // the latest slot of each session
    const pinged = new Set<number>();
    for (const { _id: id, slot, ...words } of await this.#of("pings").find().toArray()) {
      const segment = Number(String(id).split(".")[1]);
      delete words["mail"];
      for (let index = 0; index < 1024; index++) {
        if ((Number(words[Math.floor(index / 32)] ?? 0) & (1 << (index % 32))) === 0) continue;
        const seq = segment * 1024 + index;
        bits.set(seq, Math.max(bits.get(seq) ?? -Infinity, Number(slot)));
        pinged.add(Number(slot));
      }
    }
    const isNonEmpty = (slot: number): boolean => slot === j || pinged.has(slot);
    let g = j - 1;
    while (g > j - RETENTION && ![g - 1, g, g + 1].every(isNonEmpty)) g--;
    const records = await this.#of("records").find().toArray();
    const sessions = new Map(
      records
        .filter(({ _id: id }) => typeof id === "number")
        .map(({ _id: seq, ...session }) => [Number(seq), session]),
    );
    const living = new Set<string>();
    for (const registration of records.filter(({ _id: id }) => typeof id === "string")) {
      const seq = Number(registration["session"]);
      const session = sessions.get(seq);
      const latest = Math.max(
        Number(registration["slot"]),
        Number(session?.["slot"]),
        bits.get(seq) ?? -Infinity,
      );
      const ends = [Number(registration["last"]), Number(session?.["last"]), latest];
      const last = ends.find((end) => end < OPEN) ?? 0;
      if (last !== 0 && last >= g) living.add(String(registration["key"]));
    }
    return living;
  }
}

async function listed(key: string): Promise<KeyState | undefined> {
  const { keys } = await presence.list({ key });
  return keys[0];
}

it("heartbit reports what the other holds, updates and kills, and that it stops pinging", async () => {
  const told: string[] = [];
  const watcher = presence.watcher();
  watcher.watch({ prefix: "theirs/" }, ({ key, cause, holders }) => {
    told.push(`${key} ${cause} ${JSON.stringify(holders[0]?.meta ?? null)}`);
  });
  await watcher.sync();
  const first = await foreign.hold(0, "theirs/1", { v: 1 });
  await foreign.hold(1, "theirs/2", null);
  await until(() => told.includes('theirs/1 joined {"v":1}') && told.includes("theirs/2 joined null"));
  await foreign.update(first, { v: 2 }, 1);
  await until(() => told.includes('theirs/1 updated {"v":2}'));
  await foreign.end(first, 0);
  await until(() => told.includes("theirs/1 killed null"));

  const begun = await foreign.ping();
  await until(async () => (await foreign.ping()) >= begun + 4);
  expect(await listed("theirs/2")).toMatchObject({ alive: true, holders: [{ host: "elsewhere", pid: 7 }] });
  // Not what watchers report: those hold it back while this machine is busy.
  await until(async () => (await listed("theirs/2"))?.alive === false);
});

it("the other lists what heartbit holds, stops and kills", async () => {
  const pingers = ["ours/1", "ours/2"].map((key) => presence.pinger(key));
  await Promise.all(pingers.map((pinger) => pinger.start()));
  expect(await foreign.living()).toEqual(new Set(["ours/1", "ours/2"]));
  await pingers[0]?.kill();
  expect(await foreign.living()).toEqual(new Set(["ours/2"]));
  await pingers[1]?.stop();
  expect(await foreign.living()).toEqual(new Set(["ours/2"])); // its last ping has not run out
  await until(async () => (await foreign.living()).size === 0);
});

it("the other has mail when heartbit kills a key of its, and finds it among its records", async () => {
  foreign.hasMail = false;
  let id = "";
  let pinger = 2;
  // A busy machine may answer a kill too late: then there may be no mail, and the key is held and killed once more.
  await until(async () => {
    id = await foreign.hold(pinger++, "theirs/3", null);
    await foreign.ping();
    await presence.kill("theirs/3").catch((error: unknown) => {
      if (!isHeartbitError(error, "STORE_UNAVAILABLE")) throw error;
    });
    await foreign.ping();
    return foreign.hasMail;
  });
  expect((await foreign.ended()).map(({ _id: ended }) => String(ended))).toContain(id);
});
