/**
 * docs/format.md is enough: a program that knows nothing but that page, and the driver, holds keys that heartbit
 * reports. That such a program lists what heartbit holds is tested with the example in Python, and by the vectors.
 */
import { type Collection, type Document, Int32, MongoClient, type UpdateFilter } from "mongodb";
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

interface Stored extends Document {
  _id: string | number;
}

const uri = newDatabase();
const client = new MongoClient(uri);
let presence: Presence;
/** The other program's session, what it pings with, and whether the answer to a ping has said that there is mail. */
let seq: number;
let mask: number;
let hasMail = false;

// What a program in another language would do, step by step as the page says.
beforeAll(async () => {
  presence = await Presence.open(uri, { name: NAME, periodMs: PERIOD_MS });
  const config = await collection("meta").findOne({ _id: "config" });
  expect(config).toMatchObject({ version: 2, period: PERIOD_MS, offset: 0 });
  const counter = await upsert("meta", "sessions", { $inc: { seq: 1 } });
  seq = Number(config?.["base"]) + Number(counter["seq"]);
  mask = (1 << (seq % 32)) | 0;
  const slot = await ping();
  const session = { session: seq, host: "elsewhere", pid: 7, opened: new Date(), slot, last: OPEN };
  const create = { $setOnInsert: session, $currentDate: { changed: true } } as const;
  const isNew = { _id: seq, changed: { $exists: false } };
  await collection("records").updateOne(isNew, create, { upsert: true, ...MAJORITY });
});
afterAll(async () => {
  await presence.close();
  await client.close();
});

const collection = (part: string): Collection<Stored> => client.db().collection<Stored>(`${NAME}.${part}`);

async function upsert(
  part: string,
  _id: string,
  update: UpdateFilter<Stored>,
  options = {},
): Promise<Document> {
  const always = { upsert: true, returnDocument: "after", ...MAJORITY } as const;
  const made = await collection(part).findOneAndUpdate({ _id }, update, { ...always, ...options });
  return made ?? expect.fail(`${part} has ${_id}`);
}

async function slotNow(): Promise<number> {
  const clock = await upsert("meta", "clock", { $currentDate: { now: true } }, { writeConcern: { w: 1 } });
  return Math.floor((clock["now"] as Date).getTime() / PERIOD_MS);
}

async function ping(): Promise<number> {
  const slot = await slotNow();
  const word = Math.floor((seq % 1024) / 32);
  const expireAt = new Date(Date.now() + 2 * RETENTION * PERIOD_MS);
  const update = {
    $bit: { [word]: { or: new Int32(mask) } },
    $inc: { count: 1 },
    $currentDate: { now: true },
    $setOnInsert: { slot, expireAt },
  } as UpdateFilter<Stored>;
  const projection = { now: 1, [`mail.${word}`]: 1 };
  const document = await upsert("pings", `${slot}.${Math.floor(seq / 1024)}`, update, { projection });
  if ((Number(document["mail"]?.[word] ?? 0) & mask) !== 0) hasMail = true;
  return slot;
}

async function hold(pinger: number, key: string, meta: unknown): Promise<string> {
  const id = `${seq}.${pinger}.1`;
  const own = { key, session: seq, pinger, start: 1, since: new Date() };
  await upsert("records", id, {
    $setOnInsert: { ...own, meta: JSON.stringify(meta), revision: 0 },
    $max: { slot: await slotNow() },
    $min: { last: OPEN },
    $currentDate: { changed: true },
  });
  return id;
}

async function listed(key: string): Promise<KeyState | undefined> {
  return (await presence.list({ key })).keys[0];
}

it("heartbit reports what the other holds, updates and kills, and that it stops pinging", async () => {
  const told: string[] = [];
  const watcher = presence.watcher();
  watcher.watch({ prefix: "theirs/" }, ({ key, cause, holders }) => {
    told.push(`${key} ${cause} ${JSON.stringify(holders[0]?.meta ?? null)}`);
  });
  await watcher.sync();
  const first = await hold(0, "theirs/1", { v: 1 });
  await hold(1, "theirs/2", null);
  await until(() => told.includes('theirs/1 joined {"v":1}') && told.includes("theirs/2 joined null"));
  const stamp = { $currentDate: { changed: true } } as const;
  const second = { $set: { meta: '{"v":2}', revision: 1 }, ...stamp };
  await collection("records").updateOne({ _id: first, revision: { $lt: 1 } }, second, MAJORITY);
  await until(() => told.includes('theirs/1 updated {"v":2}'));
  const end = { $min: { last: 0 }, ...stamp };
  await collection("records").updateOne({ _id: first, last: { $gt: 0 } }, end, MAJORITY);
  await until(() => told.includes("theirs/1 killed null"));

  const begun = await ping();
  await until(async () => (await ping()) >= begun + 4);
  expect(await listed("theirs/2")).toMatchObject({ alive: true, holders: [{ host: "elsewhere", pid: 7 }] });
  // Not what watchers report: those hold it back while this machine is busy.
  await until(async () => (await listed("theirs/2"))?.alive === false);
});

it("the other has mail when heartbit kills a key of its, and finds it among its records", async () => {
  hasMail = false;
  let id = "";
  let pinger = 2;
  // A busy machine may answer a kill too late: then there may be no mail, and the key is held and killed once more.
  await until(async () => {
    id = await hold(pinger++, "theirs/3", null);
    await ping();
    await presence.kill("theirs/3").catch((error: unknown) => {
      if (!isHeartbitError(error, "STORE_UNAVAILABLE")) throw error;
    });
    await ping();
    return hasMail;
  });
  const ended = await collection("records")
    .find({ session: seq, last: { $lt: OPEN } })
    .toArray();
  expect(ended.map(({ _id }) => _id)).toContain(id);
});
