import { expect, it } from "vitest";
import type { Write } from "../../src/core/store.ts";
import { openMongo } from "../../src/stores/mongo/index.ts";
import { aRegistration, aSession, put } from "../../src/testing/contract/world.ts";
import { newDatabase } from "../servers/database.ts";

/** Long: the time limits of calls follow it, and are not what is tested here. */
const PERIOD_MS = 60_000;

it("what is dead is pruned though it lies behind many sessions that have ended and left planned absences", async () => {
  const uri = newDatabase();
  const store = await openMongo(uri);
  const namespace = store.namespace("presence", { periodMs: PERIOD_MS, retentionSlots: 120 });
  await namespace.configure({ version: 2, periodMs: PERIOD_MS, offset: 0, retentionSlots: 120, base: 0 });
  const writes: Write[] = [];
  for (let seq = 1; seq <= 120; seq++) {
    // More devices than the limit: each stops with a planned absence of a week, and closes.
    const registration = aRegistration(seq, `k${seq}`, 100);
    writes.push(
      put.session(aSession(seq, 100)),
      put.registration(registration),
      put.end(registration, 600_000),
      put.endSession(seq, 0),
    );
  }
  await namespace.write(writes.splice(0));
  for (let seq = 121; seq <= 170; seq++) {
    writes.push(put.session(aSession(seq, 200)), put.registration(aRegistration(seq, `k${seq}`, 200))); // crashed
  }
  await namespace.write(writes);
  const query = { beforeSlot: 1000, beforeMs: Date.now() + 60_000, limit: 100 };
  const total = { sessions: 0, registrations: 0 };
  for (;;) {
    const pruned = await namespace.prune(query);
    total.sessions += pruned.sessions;
    total.registrations += pruned.registrations;
    if (pruned.sessions + pruned.registrations + pruned.slots === 0) break;
  }
  await store.close();
  expect(total).toEqual({ sessions: 50, registrations: 50 });
});
