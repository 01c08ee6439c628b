import { expect, it } from "vitest";
import { openMongo } from "../../src/stores/mongo/index.ts";
import { aRegistration, aSession, CONFIG, put } from "../../src/testing/contract/world.ts";
import { newDatabase } from "../servers/database.ts";

it("what is dead is pruned though it lies behind many sessions that have ended and left planned absences", async () => {
  const store = await openMongo(newDatabase());
  const namespace = store.namespace("presence", CONFIG);
  await namespace.configure(CONFIG);
  const writes = Array.from({ length: 170 }, (_, index) => {
    // More devices than the limit stop with a planned absence of a week, and close. The others crash.
    const isAway = index < 120;
    const [seq, slot] = [index + 1, isAway ? 100 : 200];
    const registration = aRegistration(seq, `k${seq}`, slot);
    const start = [put.session(aSession(seq, slot)), put.registration(registration)];
    return isAway ? [...start, put.end(registration, 600_000), put.endSession(seq, 0)] : start;
  });
  await namespace.write(writes.flat());
  const total = { sessions: 0, registrations: 0 };
  for (;;) {
    const { sessions, registrations, slots } = await namespace.prune({
      beforeSlot: 1000,
      beforeMs: Date.now() + 60_000,
      limit: 100,
    });
    total.sessions += sessions;
    total.registrations += registrations;
    if (sessions + registrations + slots === 0) break;
  }
  await store.close();
  expect(total).toEqual({ sessions: 50, registrations: 50 });
});
