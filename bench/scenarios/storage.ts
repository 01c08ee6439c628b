/** What is stored after a month of churn: heartbit beside the 2014 design and naive MongoDB. */
import { pingTogether, RETENTION_SLOTS, setUp } from "../peers/heartbit-port.ts";
import type { AnyBulkWriteOperation } from "mongodb";
import type { SessionRecord } from "../../src/core/records.ts";
import type { Write } from "../../src/core/store.ts";
import { mongoStore } from "../../src/stores/mongo/index.ts";
import { storedIn, type Stored } from "../measure/stored.ts";
import { connectTo } from "../peers/mongo-peer.ts";
import { type Section, show } from "../report/section.ts";
import { optionsFor } from "../servers/index.ts";
import { startMongo } from "../servers/mongo.ts";
import type { Scenario } from "./scenario.ts";

/** Long, so that a month has few slots; what is stored a slot does not depend on it. */
const PERIOD_MS = 5 * 60_000;
const SLOTS_A_DAY = (24 * 3_600_000) / PERIOD_MS;
const PROCESSES = 100;
const KEYS_EACH = 10;
/** Each process is restarted so often, under new keys. */
const RESTARTS_A_DAY = 1;
/** Each presence prunes in one slot of the retention, by chance: together nearly once a slot. */
const PRUNE_EVERY_SLOTS = 10;
const FIRST_SLOT = 5_000_000;
const FIELD_BITS = 63;

/** A month of one design, slot by slot. */
interface Design {
  readonly name: string;
  /** A process begins with new keys; `ended` is the one it takes the place of. */
  restart(slot: number, started: number, ended: number | undefined): Promise<void>;
  /** All that live say so. */
  slot(slot: number, living: ReadonlySet<number>): Promise<void>;
  stored(): Promise<Stored>;
  close(): Promise<void>;
}

const keysOf = (process: number): string[] =>
  Array.from({ length: KEYS_EACH }, (_, key) => `process-${process}/key-${key}`);

export const storage: Scenario = {
  name: "storage",
  async run({ quick, say }) {
    const server = await startMongo();
    const days = quick ? 3 : 30;
    const results = new Map<string, Stored[]>();
    for (const open of [openHeartbit, openDesign2014, openNaive]) {
      const design = await open(server);
      say(design.name);
      results.set(design.name, await month(design, days));
      await design.close();
    }
    await server.stop();
    return report(results, days);
  },
};

/** What is stored at the end of each day. */
async function month(design: Design, days: number): Promise<Stored[]> {
  const living = new Set<number>();
  let started = 0;
  for (; started < PROCESSES; started++) {
    living.add(started);
    await design.restart(FIRST_SLOT, started, undefined);
  }
  const slotsARestart = SLOTS_A_DAY / (PROCESSES * RESTARTS_A_DAY);
  let restarts = 0;
  const stored: Stored[] = [];
  for (let slot = 1; slot <= days * SLOTS_A_DAY; slot++) {
    for (; restarts < slot / slotsARestart; restarts++, started++) {
      const [ended] = living;
      if (ended !== undefined) living.delete(ended);
      living.add(started);
      await design.restart(FIRST_SLOT + slot, started, ended);
    }
    await design.slot(FIRST_SLOT + slot, living);
    if (slot % SLOTS_A_DAY === 0) stored.push(await design.stored());
  }
  return stored;
}

type Server = Parameters<typeof optionsFor>[0];

async function openHeartbit(server: Server): Promise<Design> {
  const options = optionsFor(server, "heartbit", PERIOD_MS);
  const db = await connectTo(options);
  const namespace = await setUp(mongoStore(db), "presence", PERIOD_MS);
  const seqs = new Map<number, number>();
  const written = new Map<number, SessionRecord>();
  return {
    name: "heartbit",
    restart: async (slot, started, ended) => {
      const seq = await namespace.nextSeq();
      seqs.set(started, seq);
      const now = Date.now();
      const registrations = keysOf(started).map((key, pinger): Write => {
        const id = { session: seq, pinger, start: 1 };
        return {
          kind: "registration",
          registration: { ...id, key, since: now, slot, meta: "null", revision: 0 },
        };
      });
      const session = { seq, host: "bench", pid: started, opened: now, slot };
      written.set(started, session);
      const gone = ended === undefined ? undefined : seqs.get(ended);
      await namespace.write([
        { kind: "session", session },
        ...registrations,
        ...(gone === undefined ? [] : [{ kind: "endSession", session: gone, last: 0 } as const]),
      ]);
    },
    slot: async (slot, living) => {
      const pinging = [...living].map((process) => seqs.get(process)!);
      await pingTogether(db, { ...options, name: "presence" }, slot, pinging);
      // As presences do: their session's record is what tells pruning that they live.
      const old = [...living].filter((process) => slot - written.get(process)!.slot >= RETENTION_SLOTS / 2);
      for (const process of old) written.set(process, { ...written.get(process)!, slot });
      await namespace.write(
        old.map((process): Write => ({ kind: "session", session: written.get(process)! })),
      );
      if (slot % PRUNE_EVERY_SLOTS !== 0) return;
      // The records are stamped with the real time, in which the month takes minutes: only the slots tell their age.
      await namespace.prune({ beforeSlot: slot - RETENTION_SLOTS, beforeMs: Date.now(), limit: 1000 });
    },
    stored: () => storedIn(db),
    close: () => db.client.close(),
  };
}

/** A slot's `$inc`s of all in one: it stores the same. */
async function openDesign2014(server: Server): Promise<Design> {
  const db = await connectTo(optionsFor(server, "design2014", PERIOD_MS));
  const registrations = db.collection<{ _id: number; key: string }>("registrations");
  const pings = db.collection<{ _id: number }>("pings");
  await registrations.createIndex({ key: 1 });
  return {
    name: "2014 design",
    restart: async (_slot, started) => {
      const first = started * KEYS_EACH;
      await registrations.insertMany(keysOf(started).map((key, index) => ({ _id: first + index, key })));
    },
    slot: async (slot, living) => {
      const fields = new Map<string, bigint>();
      for (const process of living) {
        for (let seq = process * KEYS_EACH; seq < (process + 1) * KEYS_EACH; seq++) {
          const field = `alive.${Math.floor(seq / FIELD_BITS).toString(16)}`;
          fields.set(field, (fields.get(field) ?? 0n) | (1n << BigInt(seq % FIELD_BITS)));
        }
      }
      await pings.updateOne(
        { _id: slot },
        { $inc: Object.fromEntries(fields) },
        {
          upsert: true,
        },
      );
    },
    stored: () => storedIn(db),
    close: () => db.client.close(),
  };
}

/** A document is written when its key is new; its later updates take no room, and what is dead for a while is removed. */
async function openNaive(server: Server): Promise<Design> {
  const db = await connectTo(optionsFor(server, "naive", PERIOD_MS));
  const seen = db.collection<{ _id: string; lastSeen: Date }>("naive");
  await seen.createIndex({ lastSeen: 1 });
  const ends = new Map<number, number>();
  return {
    name: "naive MongoDB",
    restart: async (slot, started, ended) => {
      const writes = keysOf(started).map((key): AnyBulkWriteOperation<{ _id: string; lastSeen: Date }> => ({
        updateOne: { filter: { _id: key }, update: { $currentDate: { lastSeen: true } }, upsert: true },
      }));
      await seen.bulkWrite(writes);
      if (ended !== undefined) ends.set(ended, slot);
    },
    slot: async (slot) => {
      for (const [ended, at] of ends) {
        if (slot - at < RETENTION_SLOTS) break;
        ends.delete(ended);
        await seen.deleteMany({ _id: { $in: keysOf(ended) } });
      }
    },
    stored: () => storedIn(db),
    close: () => db.client.close(),
  };
}

function report(results: ReadonlyMap<string, readonly Stored[]>, days: number): Section {
  const shown = [1, 2, 7, 14, 30].filter((day) => day <= days);
  return {
    title: "What is stored after a month of churn",
    about: `${PROCESSES} processes of ${KEYS_EACH} keys, each restarted once a day under new keys, for ${days} simulated days with a period of 5 minutes and a retention of ${RETENTION_SLOTS} slots (10 hours), written through the store, slot by slot. Bytes of documents and indexes, as the server reports them. The shorter the period, the more the 2014 design stores a day, since each slot is a document that stays. For naive MongoDB, documents that its TTL index would remove are removed by the simulated time.`,
    tables: [
      {
        title: "Documents and kB at the end of day",
        columns: ["", ...shown.map((day) => `${day}`)],
        rows: [...results].map(([name, stored]) => [
          name,
          ...shown.map((day) => {
            const { documents, bytes } = stored[day - 1]!;
            return `${documents.toLocaleString("en-US")}; ${show(bytes / 1000)}`;
          }),
        ]),
      },
    ],
    plots: [
      {
        name: "bench-storage",
        title: "Stored by the day",
        x: "day",
        y: "kB",
        series: [...results].map(([name, stored]) => ({
          name,
          points: stored.map(({ bytes }, index) => ({ x: index + 1, y: bytes / 1000 })),
        })),
      },
    ],
    goals: [],
  };
}
