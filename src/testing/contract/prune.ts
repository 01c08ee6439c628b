import assert from "node:assert/strict";
import type { Namespace, Pruned } from "../../core/store.ts";
import {
  aRegistration,
  aSession,
  CONFIG,
  configured,
  everything,
  keysOf,
  put,
  readAll,
  readRegistration,
  readSession,
  type Suite,
  timeAfter,
} from "./world.ts";

/** Later than any stamp, so that only slots decide what is pruned. */
const EVER = 8e15;

/** Prunes until nothing more is deleted, and returns the sums. */
async function pruneAll(ns: Namespace, beforeSlot: number, beforeMs = EVER, limit = 1000): Promise<Pruned> {
  const sum = { sessions: 0, registrations: 0, slots: 0 };
  for (;;) {
    const { sessions, registrations, slots } = await ns.prune({ beforeSlot, beforeMs, limit });
    if (sessions + registrations + slots === 0) return sum;
    sum.sessions += sessions;
    sum.registrations += registrations;
    sum.slots += slots;
  }
}

/** What is stored: the keys of the registrations, and which of the sessions 1 to 9. */
async function left(ns: Namespace): Promise<{ keys: string[]; sessions: number[] }> {
  const sessions: number[] = [];
  for (let seq = 1; seq <= 9; seq++) {
    if ((await readAll(ns, { session: seq })).sessions.has(seq)) sessions.push(seq);
  }
  return { keys: keysOf(await readAll(ns, { select: everything() })), sessions };
}

export const pruneTests: Suite = (test) => {
  test(
    "nothing to prune: nothing is deleted",
    configured(async ({ ns, slot }) => {
      assert.deepEqual(
        { ...(await ns.prune({ beforeSlot: slot, beforeMs: EVER, limit: 10 })) },
        {
          sessions: 0,
          registrations: 0,
          slots: 0,
        },
      );
    }),
  );

  test(
    "a namespace younger than its retention: slots before the first are no error, and nothing goes",
    configured(async ({ ns, slot }) => {
      await ns.write([
        put.session(aSession(1, slot)),
        put.registration(aRegistration(1, "key", slot, { last: 0 })),
      ]);
      await ns.ping(slot, 1);
      const query = { beforeSlot: -100, beforeMs: -500_000, limit: 10 };
      assert.deepEqual({ ...(await ns.prune(query)) }, { sessions: 0, registrations: 0, slots: 0 });
    }),
  );

  test(
    "pings of slots before the given one go, the others stay",
    configured(async ({ ns, slot }) => {
      for (let ahead = 0; ahead < 6; ahead++) {
        for (const seq of [1, 2000]) await ns.ping(slot + ahead, seq);
        await ns.mail(slot + ahead, [4000]);
      }
      const { slots } = await pruneAll(ns, slot + 4);
      assert.ok(slots >= 4, `${slots} slots`);
      assert.deepEqual(
        new Set((await ns.pings(0)).map((record) => record.slot)),
        new Set([slot + 4, slot + 5]),
      );
    }),
  );

  test(
    "an old session goes: open or closed before",
    configured(async ({ ns, slot }) => {
      await ns.write([put.session(aSession(1, slot)), put.session(aSession(2, slot, { last: slot + 1 }))]);
      await ns.write([put.session(aSession(3, slot)), put.endSession(3, 0)]);
      assert.equal((await pruneAll(ns, slot + 2)).sessions, 3);
      assert.deepEqual(await left(ns), { keys: [], sessions: [] });
    }),
  );

  test(
    "a session whose slot is not before stays: what has been raised lives",
    configured(async ({ ns, slot }) => {
      await ns.write([1, 2, 3].map((seq) => put.session(aSession(seq, slot))));
      await ns.write([put.registration(aRegistration(2, "held", slot))]);
      await ns.write([put.session(aSession(2, slot + 2)), put.session(aSession(3, slot + 3))]);
      assert.equal((await pruneAll(ns, slot + 2)).sessions, 1);
      assert.deepEqual(await left(ns), { keys: ["held"], sessions: [2, 3] });
    }),
  );

  test(
    "a session that counts as alive until a later slot stays, with its registrations",
    configured(async ({ ns, slot }) => {
      await ns.write([put.session(aSession(1, slot)), put.registration(aRegistration(1, "lingers", slot))]);
      await ns.write([put.endSession(1, slot + 5)]);
      await pruneAll(ns, slot + 5);
      assert.deepEqual(await left(ns), { keys: ["lingers"], sessions: [1] });
      await pruneAll(ns, slot + 6);
      assert.deepEqual(await left(ns), { keys: [], sessions: [] });
    }),
  );

  test(
    "registrations that ended before go, though their session lives",
    configured(async ({ ns, slot }) => {
      await ns.write([
        put.session(aSession(1, slot + 9)),
        put.registration(aRegistration(1, "stopped", slot, { pinger: 1, last: slot + 1 })),
        put.registration(aRegistration(1, "killed", slot, { pinger: 2, last: 0 })),
        put.registration(aRegistration(1, "held", slot, { pinger: 3 })),
        put.registration(aRegistration(1, "started again", slot + 2, { pinger: 4, last: 0 })),
      ]);
      const { sessions, registrations } = await pruneAll(ns, slot + 2);
      assert.deepEqual({ sessions, registrations }, { sessions: 0, registrations: 2 });
      assert.deepEqual(await left(ns), { keys: ["held", "started again"], sessions: [1] });
    }),
  );

  test(
    "a planned absence keeps its registration, and its session, until it is over",
    configured(async ({ ns, slot }) => {
      await ns.write([put.session(aSession(1, slot)), put.registration(aRegistration(1, "away", slot))]);
      await ns.write([put.registration(aRegistration(1, "crashed", slot, { pinger: 2 }))]);
      await ns.write([put.end({ session: 1, pinger: 1, start: 1 }, slot + 8)]);
      await pruneAll(ns, slot + 8);
      const kept = await left(ns);
      assert.ok(kept.keys.includes("away"));
      assert.deepEqual(kept.sessions, [1]);
      await pruneAll(ns, slot + 9);
      assert.deepEqual(await left(ns), { keys: [], sessions: [] });
    }),
  );

  test(
    "registrations of an old session go with it",
    configured(async ({ ns, slot }) => {
      await ns.write([put.session(aSession(1, slot)), put.session(aSession(2, slot, { last: 0 }))]);
      await ns.write([
        put.registration(aRegistration(1, "crashed", slot)),
        put.registration(aRegistration(2, "closed", slot)),
      ]);
      const { sessions, registrations } = await pruneAll(ns, slot + 1);
      assert.deepEqual({ sessions, registrations }, { sessions: 2, registrations: 2 });
      assert.deepEqual(await left(ns), { keys: [], sessions: [] });
    }),
  );

  test(
    "a registration that was registered again stays, and so does its session, however old",
    configured(async ({ ns, slot }) => {
      const registration = aRegistration(1, "back", slot);
      await ns.write([put.session(aSession(1, slot)), put.registration(registration)]);
      await ns.write([put.registration({ ...registration, slot: slot + 7 })]);
      await pruneAll(ns, slot + 7);
      assert.deepEqual(await left(ns), { keys: ["back"], sessions: [1] });
    }),
  );

  test(
    "nothing goes that was changed after the given time",
    configured(async ({ ns, slot }) => {
      const ended = (seq: number, key: string) => aRegistration(seq, key, slot, { last: 0 });
      await ns.write([1, 2, 3, 4].map((seq) => put.session(aSession(seq, slot))));
      await ns.write([
        put.registration(ended(1, "old")),
        put.registration(ended(2, "updated")),
        put.registration(aRegistration(3, "held", slot)),
      ]);
      await ns.write([put.registration(aRegistration(4, "crashed", slot))]);
      const stamps = [
        await readSession(ns, 4),
        await readRegistration(ns, { session: 4, pinger: 1, start: 1 }),
      ];
      const latest = Math.max(...stamps.map(({ changed = 0 }) => changed));
      // A store on another machine may read its clock for `time` and for stamps at different places.
      const beforeMs = (await timeAfter(ns, latest + 5)) - 2;
      await timeAfter(ns, beforeMs + 5);
      await ns.write([
        put.registration({ ...ended(2, "updated"), meta: "1", revision: 1 }),
        put.endSession(3, slot),
      ]);
      await pruneAll(ns, slot + 5, beforeMs);
      assert.deepEqual(await left(ns), { keys: ["held", "updated"], sessions: [2, 3] });
    }),
  );

  test(
    "a prune deletes about as many of each kind as its limit says, and goes on when called again",
    configured(async ({ ns, slot }) => {
      const seqs = Array.from({ length: 200 }, (_, index) => index + 1);
      await ns.write(
        seqs.flatMap((seq) => [
          put.session(aSession(seq, slot)),
          put.registration(aRegistration(seq, "key", slot)),
        ]),
      );
      for (let ahead = 0; ahead < 40; ahead++) await ns.ping(slot + ahead, 1);
      const first = await ns.prune({ beforeSlot: slot + 40, beforeMs: EVER, limit: 10 });
      for (const count of [first.sessions, first.registrations, first.slots])
        assert.ok(count <= 20, `${count} at once`);
      assert.ok(first.sessions + first.registrations + first.slots > 0);
      const rest = await pruneAll(ns, slot + 40, EVER, 10);
      assert.equal(first.sessions + rest.sessions, 200);
      assert.equal(first.registrations + rest.registrations, 200);
      assert.deepEqual(keysOf(await readAll(ns, { select: everything() })), []);
      assert.deepEqual(await ns.pings(0), []);
    }),
  );

  test(
    "what stays does not use up the limit: the dead behind 300 live ones and 120 planned absences are deleted too",
    configured(async ({ ns, slot }) => {
      const seqs = Array.from({ length: 420 }, (_, index) => index + 1);
      const writes = seqs.flatMap((seq) => {
        // Those that are away have closed, long ago.
        const isAway = seq > 300;
        const held = aRegistration(seq, "stays", slot);
        const start = [put.session(aSession(seq, isAway ? slot : slot + 9)), put.registration(held)];
        return isAway ? [...start, put.end(held, slot + 1000), put.endSession(seq, 0)] : start;
      });
      await ns.write(writes);
      await ns.write([
        put.session(aSession(500, slot + 1)),
        put.registration(aRegistration(500, "dead", slot + 1)),
      ]);
      assert.deepEqual(await pruneAll(ns, slot + 9, EVER, 50), { sessions: 1, registrations: 1, slots: 0 });
      assert.equal((await readAll(ns, { select: everything() })).registrations.size, 420);
    }),
  );

  test(
    "several prune at the same time, and each record is counted once",
    configured(async ({ ns, another, slot }) => {
      const seqs = Array.from({ length: 60 }, (_, index) => index + 1);
      await ns.write(
        seqs.flatMap((seq) => [
          put.session(aSession(seq, slot)),
          put.registration(aRegistration(seq, "key", slot)),
        ]),
      );
      const sums = await Promise.all([ns, another(), another()].map((client) => pruneAll(client, slot + 1)));
      const total = (kind: keyof Pruned): number => sums.reduce((sum, pruned) => sum + pruned[kind], 0);
      assert.equal(total("registrations"), 60);
      assert.equal(total("sessions"), 60);
    }),
  );

  test(
    "the config says before which slot was pruned, by whichever client, and forgets none",
    configured(async ({ ns, another, slot }) => {
      assert.equal((await ns.config())?.prunedBefore, undefined);
      await pruneAll(another(), slot - 3);
      assert.deepEqual({ ...(await ns.config()) }, { ...CONFIG, prunedBefore: slot - 3 });
      await pruneAll(ns, slot - 7);
      await ns.configure({ ...CONFIG, retentionSlots: CONFIG.retentionSlots + 1 });
      assert.equal(await ns.raiseOffset(0, 2), 2);
      assert.equal((await another().config())?.prunedBefore, slot - 3);
      await pruneAll(ns, slot);
      assert.equal((await another().config())?.prunedBefore, slot);
    }),
  );

  test(
    "a session's number is never given again, though the session was pruned",
    configured(async ({ ns, slot }) => {
      const seq = await ns.nextSeq();
      await ns.write([put.session(aSession(seq, slot))]);
      await pruneAll(ns, slot + 1);
      assert.ok((await ns.nextSeq()) > seq);
    }),
  );
};
