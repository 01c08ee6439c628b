import assert from "node:assert/strict";
import {
  type RegistrationRecord,
  mergeRegistrations,
  mergeSessions,
  type SessionRecord,
} from "../../core/records.ts";
import type { Write } from "../../core/store.ts";
import {
  aRegistration,
  aSession,
  configured,
  everything,
  idOf,
  plain,
  put,
  randomNumbers,
  readAll,
  readRegistration,
  readSession,
  shuffled,
  type Suite,
  timeAfter,
} from "./world.ts";

export const writeTests: Suite = (test) => {
  test(
    "a session and a registration are read as they were written, by every client",
    configured(async ({ ns, another, slot }) => {
      const session = aSession(1, slot);
      const registration = aRegistration(1, "key", slot, {
        meta: '{"$a.b":{"__proto__":[1,null,"\\u0000é😀"]}}',
        revision: 3,
      });
      await ns.write([put.session(session), put.registration(registration)]);
      const { sessions, registrations } = await readAll(another(), { select: everything() });
      assert.deepEqual([...sessions.values()].map(plain), [plain(session)]);
      assert.deepEqual([...registrations.values()].map(plain), [plain(registration)]);
    }),
  );

  test(
    "a meta of 16 KiB is read as it was written",
    configured(async ({ ns, slot }) => {
      const registration = aRegistration(1, "key", slot, { meta: JSON.stringify("é".repeat(8000)) });
      await ns.write([put.session(aSession(1, slot)), put.registration(registration)]);
      assert.equal((await readRegistration(ns, registration)).meta, registration.meta);
    }),
  );

  test(
    "a record may come with a `last`",
    configured(async ({ ns, slot }) => {
      const registration = aRegistration(1, "key", slot, { last: slot + 2 });
      await ns.write([put.session(aSession(1, slot, { last: slot + 7 })), put.registration(registration)]);
      assert.equal((await readSession(ns, 1)).last, slot + 7);
      assert.equal((await readRegistration(ns, registration)).last, slot + 2);
    }),
  );

  test(
    "many new registrations are read as they were written, also as changes; those that are stored already are merged",
    configured(async ({ ns, slot }) => {
      const many = Array.from({ length: 600 }, (_, pinger) =>
        aRegistration(1, `key ${pinger}`, slot, { pinger, revision: pinger % 3, meta: `{"of":${pinger}}` }),
      );
      const stored = many.slice(100, 103).map((registration) => ({ ...registration, slot: slot - 1 }));
      await ns.write([put.session(aSession(1, slot)), ...stored.map((one) => put.registration(one))]);
      const [first] = stored;
      assert.ok(first !== undefined);
      await ns.write([put.end(first, slot)]);
      const before = await readAll(ns, { select: everything() });
      await ns.write(many.map((one) => put.newRegistration(one)));
      const wanted = many.map((one, i) => (i === 100 ? { ...one, last: slot } : one));
      const { registrations } = await readAll(ns, { select: everything() });
      assert.deepEqual(
        wanted.map((one) => plain(registrations.get(idOf(one)) ?? aRegistration(1, "not read", 0))),
        wanted.map(plain),
      );
      const changed = await readAll(ns, { select: everything(), since: before.cursor });
      const others = wanted.filter((_, i) => stored[i - 100] === undefined);
      assert.deepEqual(
        others.filter((one) => !changed.registrations.has(idOf(one))),
        [],
      );
    }),
  );

  test(
    "no writes at all are no error",
    configured(async ({ ns }) => {
      await ns.write([]);
      assert.equal((await readAll(ns, { select: everything() })).sessions.size, 0);
    }),
  );

  test(
    "records are stamped with the store's time; a stamp in what is written is ignored",
    configured(async ({ ns, slot }) => {
      const before = await ns.time();
      const session = aSession(1, slot, { changed: 9e15 });
      const registration = aRegistration(1, "key", slot, { changed: 9e15 });
      for (let round = 0; round < 2; round++) {
        await ns.write([put.session({ ...session, slot: slot + round }), put.registration(registration)]);
        const after = await ns.time();
        for (const { changed } of [await readSession(ns, 1), await readRegistration(ns, registration)])
          assert.ok(
            changed !== undefined && changed >= before - 1000 && changed <= after + 1000,
            `${before} <= ${changed} <= ${after}`,
          );
      }
    }),
  );

  test(
    "writing a session again raises its slot, never lowers it, and renews no stamp",
    configured(async ({ ns, slot }) => {
      await ns.write([put.session(aSession(1, slot))]);
      const created = await readSession(ns, 1);
      await timeAfter(ns, (created.changed ?? 0) + 5);
      await ns.write([put.session(aSession(1, slot + 3))]);
      await ns.write([put.session(aSession(1, slot - 3))]);
      const raised = await readSession(ns, 1);
      assert.equal(raised.slot, slot + 3);
      assert.equal(raised.changed, created.changed);
    }),
  );

  test(
    "writing a registration again raises its slot and, by its revision, its meta",
    configured(async ({ ns, slot }) => {
      const registration = aRegistration(1, "key", slot, { meta: "0", revision: 0 });
      await ns.write([put.session(aSession(1, slot)), put.registration(registration)]);
      await ns.write([put.registration({ ...registration, meta: "2", revision: 2 })]);
      await ns.write([put.registration({ ...registration, slot: slot + 5, meta: "1", revision: 1 })]);
      await ns.write([put.registration({ ...registration, slot: slot - 5, meta: "0", revision: 0 })]);
      assert.deepEqual(plain(await readRegistration(ns, registration)), {
        ...plain(registration),
        slot: slot + 5,
        meta: "2",
        revision: 2,
      });
    }),
  );

  test(
    "a newer meta is given by its revision, and changes nothing else",
    configured(async ({ ns, slot }) => {
      const registration = aRegistration(1, "key", slot, { meta: "0", revision: 0 });
      await ns.write([
        put.session(aSession(1, slot)),
        put.registration(registration),
        put.end(registration, slot + 9),
      ]);
      await ns.write([put.meta(registration, "2", 2)]);
      await ns.write([put.meta(registration, "1", 1), put.meta(registration, "another", 2)]);
      const expected = { ...plain(registration), meta: "2", revision: 2, last: slot + 9 };
      assert.deepEqual(plain(await readRegistration(ns, registration)), expected);
    }),
  );

  test(
    "changing a registration, ending it and ending a session renew the stamp",
    configured(async ({ ns, slot }) => {
      const registration = aRegistration(1, "key", slot);
      await ns.write([put.session(aSession(1, slot)), put.registration(registration)]);
      const steps: Write[] = [
        put.registration({ ...registration, meta: "1", revision: 1 }),
        put.meta(registration, "2", 2),
        put.end(registration, slot + 1),
        put.endSession(1, slot + 1),
      ];
      for (const step of steps) {
        const read = async () =>
          (step.kind === "endSession" ? await readSession(ns, 1) : await readRegistration(ns, registration))
            .changed ?? 0;
        const before = await read();
        await timeAfter(ns, before + 5);
        await ns.write([step]);
        assert.ok((await read()) > before, `${step.kind} renews the stamp`);
      }
    }),
  );

  for (const [what, first, second, holds] of [
    ["an earlier one", 7, 3, 3],
    ["a later one", 3, 7, 3],
    ["a kill", 7, undefined, undefined],
    ["what comes after a kill", undefined, 7, undefined],
  ] as const) {
    test(
      `of two ends the earlier holds: ${what}`,
      configured(async ({ ns, slot }) => {
        const registration = aRegistration(1, "key", slot);
        await ns.write([put.session(aSession(1, slot)), put.registration(registration)]);
        for (const ahead of [first, second]) {
          await ns.write([put.end(registration, at(slot, ahead)), put.endSession(1, at(slot, ahead))]);
        }
        assert.equal((await readRegistration(ns, registration)).last, at(slot, holds));
        assert.equal((await readSession(ns, 1)).last, at(slot, holds));
      }),
    );
  }

  test(
    "writing a record again does not take back its end",
    configured(async ({ ns, slot }) => {
      const registration = aRegistration(1, "key", slot);
      const records = [put.session(aSession(1, slot)), put.registration(registration)];
      await ns.write([...records, put.end(registration, slot + 1), put.endSession(1, slot + 2)]);
      await ns.write(records);
      await ns.write([put.registration({ ...registration, slot: slot + 9, revision: 9 })]);
      assert.equal((await readRegistration(ns, registration)).last, slot + 1);
      assert.equal((await readSession(ns, 1)).last, slot + 2);
    }),
  );

  test(
    "touching a session raises its slot and renews its stamp, and changes nothing else",
    configured(async ({ ns, slot }) => {
      const sessions = [1, 2].map((seq) => aSession(seq, slot));
      await ns.write([...sessions.map(put.session), put.endSession(2, slot + 1)]);
      for (const { seq } of sessions) {
        const before = await readSession(ns, seq);
        await timeAfter(ns, (before.changed ?? 0) + 5);
        await ns.write([put.touch(seq, slot + 2)]);
        const after = await readSession(ns, seq);
        assert.deepEqual(plain(after), { ...plain(before), slot: slot + 2 });
        assert.ok((after.changed ?? 0) > (before.changed ?? 0), "the stamp is renewed");
      }
    }),
  );

  test(
    "touching a session that has that slot, or a later one, changes nothing, not even the stamp",
    configured(async ({ ns, slot }) => {
      await ns.write([put.session(aSession(1, slot))]);
      const before = await readSession(ns, 1);
      await timeAfter(ns, (before.changed ?? 0) + 5);
      await ns.write([put.touch(1, slot), put.touch(1, slot - 1)]);
      assert.deepEqual({ ...(await readSession(ns, 1)) }, { ...before });
    }),
  );

  test(
    "a session that was touched is given by a read with a cursor from before",
    configured(async ({ ns, another, slot }) => {
      await ns.write([put.session(aSession(1, slot))]);
      const { cursor } = await readAll(another(), { select: everything() });
      await ns.write([put.touch(1, slot + 1)]);
      const found = await readAll(another(), { select: everything(), since: cursor });
      assert.equal(found.sessions.get(1)?.slot, slot + 1);
    }),
  );

  test(
    "ending, touching or updating what is not stored creates nothing",
    configured(async ({ ns, slot }) => {
      await ns.write([put.session(aSession(1, slot))]);
      await ns.write([put.end({ session: 1, pinger: 1, start: 1 }, slot), put.endSession(2, slot)]);
      await ns.write([put.touch(2, slot + 1), put.meta({ session: 1, pinger: 1, start: 1 }, "1", 1)]);
      const found = await readAll(ns, { select: everything(), session: 1 });
      assert.deepEqual([...found.sessions.keys()], [1]);
      assert.equal(found.registrations.size, 0);
      assert.equal((await readAll(ns, { select: everything(), session: 2 })).sessions.has(2), false);
    }),
  );

  test(
    "each start of a pinger is a registration of its own: a late write of an earlier start touches nothing",
    configured(async ({ ns, slot }) => {
      const first = aRegistration(1, "key", slot, { meta: "1" });
      const second = aRegistration(1, "key", slot, { start: 2, meta: "2" });
      const third = aRegistration(1, "other", slot, { pinger: 2 });
      await ns.write([put.session(aSession(1, slot)), ...[first, second, third].map(put.registration)]);
      await ns.write([put.end(first, 0), put.registration({ ...first, meta: '"late"', revision: 1 })]);
      assert.deepEqual(plain(await readRegistration(ns, second)), plain(second));
      assert.deepEqual(plain(await readRegistration(ns, third)), plain(third));
      assert.equal((await readRegistration(ns, first)).meta, '"late"');
    }),
  );

  test(
    "the writes of one call are applied in their order",
    configured(async ({ ns, slot }) => {
      const ended = aRegistration(1, "ended", slot);
      const created = aRegistration(1, "created", slot, { pinger: 2 });
      await ns.write([
        put.session(aSession(1, slot)),
        put.registration(ended),
        put.registration({ ...ended, meta: "1", revision: 1 }),
        put.end(ended, slot + 4),
        put.end(ended, slot + 2),
        put.registration({ ...ended, meta: "2", revision: 2 }),
        put.end(created, slot),
        put.registration(created),
      ]);
      assert.deepEqual(plain(await readRegistration(ns, ended)), {
        ...plain(ended),
        meta: "2",
        revision: 2,
        last: slot + 2,
      });
      assert.equal((await readRegistration(ns, created)).last, undefined);
    }),
  );

  test(
    "1,500 registrations are written in one call",
    configured(async ({ ns, slot }) => {
      const registrations = Array.from({ length: 1500 }, (_, pinger) =>
        aRegistration(1, `key-${pinger}`, slot, { pinger }),
      );
      await ns.write([put.session(aSession(1, slot)), ...registrations.map(put.registration)]);
      const found = await readAll(ns, { select: everything() });
      assert.deepEqual(new Set(found.registrations.keys()), new Set(registrations.map(idOf)));
    }),
  );

  for (const seed of [1, 2, 3, 4]) {
    test(
      `writes in any order, twice, late and from several clients give one state (seed ${seed})`,
      configured(async ({ ns, another, slot }) => {
        const random = randomNumbers(seed);
        const history = aHistory(slot, random);
        await ns.write(history.created);
        const clients = [ns, another(), another()];
        const order = shuffled([...history.later, ...history.later, ...history.created], random);
        const parts = clients.map((_, client) =>
          order.filter((__, index) => index % clients.length === client),
        );
        await Promise.all(
          clients.map(async (client, index) => {
            for (let rest = parts[index] ?? []; rest.length > 0;) {
              const size = 1 + random(5);
              await client.write(rest.slice(0, size));
              rest = rest.slice(size);
            }
          }),
        );
        const found = await readAll(ns, { select: everything() });
        for (const session of history.sessions.values())
          assert.deepEqual(plain(found.sessions.get(session.seq) ?? session), plain(session));
        for (const [id, registration] of history.registrations) {
          const stored = found.registrations.get(id);
          assert.ok(stored !== undefined, `${id} is stored`);
          assert.deepEqual(plain(stored), plain(registration));
        }
        assert.equal(found.registrations.size, history.registrations.size);
      }),
    );
  }

  test(
    "kill ends every registration of the key at once, and no other",
    configured(async ({ ns, slot }) => {
      const registrations = [
        aRegistration(1, "key", slot),
        aRegistration(2, "key", slot),
        aRegistration(2, "key", slot, { pinger: 2, last: slot + 9 }),
        aRegistration(2, "key2", slot, { pinger: 3 }),
        aRegistration(2, "ke", slot, { pinger: 4 }),
      ];
      await ns.write([
        put.session(aSession(1, slot)),
        put.session(aSession(2, slot)),
        ...registrations.map(put.registration),
      ]);
      await ns.kill("key");
      const found = await readAll(ns, { select: everything() });
      const lasts = registrations.map((registration) => found.registrations.get(idOf(registration))?.last);
      assert.deepEqual(lasts, [0, 0, 0, undefined, undefined]);
    }),
  );

  test(
    "kill is repeatable, leaves the stamp of what is killed already, and a key that nobody holds alone",
    configured(async ({ ns, slot }) => {
      const registration = aRegistration(1, "key", slot);
      await ns.write([put.session(aSession(1, slot)), put.registration(registration)]);
      await ns.kill("key");
      const killed = await readRegistration(ns, registration);
      await timeAfter(ns, (killed.changed ?? 0) + 5);
      await ns.kill("key");
      await ns.kill("nobody's");
      assert.deepEqual({ ...(await readRegistration(ns, registration)) }, { ...killed });
      assert.equal((await readAll(ns, { select: everything() })).registrations.size, 1);
    }),
  );

  test(
    "kill ends all of 1,100 holders of a key",
    configured(async ({ ns, slot }) => {
      const registrations = Array.from({ length: 1100 }, (_, pinger) =>
        aRegistration(1, "key", slot, { pinger }),
      );
      await ns.write([put.session(aSession(1, slot)), ...registrations.map(put.registration)]);
      await ns.kill("key");
      const found = await readAll(ns, { select: everything() });
      assert.equal([...found.registrations.values()].filter(({ last }) => last === 0).length, 1100);
    }),
  );

  test(
    "a write whose signal is aborted before it begins writes nothing",
    configured(async ({ ns, slot }) => {
      const write = ns.write([put.session(aSession(1, slot))], AbortSignal.abort());
      await write.catch(() => undefined); // whether it rejects is the store's own affair
      assert.equal((await readAll(ns, { session: 1 })).sessions.size, 0);
    }),
  );

  test(
    "what is given to the store is neither kept nor changed",
    configured(async ({ ns, slot }) => {
      const session = Object.freeze(aSession(1, slot));
      const registration = aRegistration(1, "key", slot);
      const writes = [put.session(session), put.registration(registration)];
      await ns.write(writes);
      assert.deepEqual(writes, [
        put.session(aSession(1, slot)),
        put.registration(aRegistration(1, "key", slot)),
      ]);
      Object.assign(registration, { meta: "changed", key: "changed" });
      assert.deepEqual(plain(await readRegistration(ns, registration)), plain(aRegistration(1, "key", slot)));
    }),
  );
};

/** A slot some slots ahead, or the `last` of a kill. */
function at(slot: number, ahead: number | undefined): number {
  return ahead === undefined ? 0 : slot + ahead;
}

/** Random records, writes that change them afterwards, and the result by the rules of merging. */
function aHistory(slot: number, random: (limit: number) => number) {
  const sessions = new Map<number, SessionRecord>();
  const registrations = new Map<string, RegistrationRecord>();
  const created: Write[] = [];
  const later: Write[] = [];
  for (let seq = 1; seq <= 4; seq++) {
    const session = aSession(seq, slot + random(5));
    sessions.set(seq, session);
    created.push(put.session(session));
    for (let pinger = 1; pinger <= 3; pinger++) {
      const registration = aRegistration(seq, `key-${random(4)}`, slot + random(5), { pinger, meta: "0" });
      registrations.set(idOf(registration), registration);
      created.push(put.registration(registration));
    }
  }
  for (let count = 0; count < 60; count++) {
    const session = sessions.get(1 + random(4));
    const registration = [...registrations.values()][random(registrations.size)];
    if (session === undefined || registration === undefined) continue;
    const then = slot + random(12);
    const last = random(8) === 0 ? 0 : then;
    const kind = random(8);
    if (kind === 0) {
      sessions.set(session.seq, mergeSessions(session, { ...session, last }));
      later.push(put.endSession(session.seq, last));
    } else if (kind <= 3) {
      const { last: _, ...raised } = { ...session, slot: then };
      sessions.set(session.seq, mergeSessions(session, raised));
      later.push(put.session(raised));
    } else if (kind === 4) {
      registrations.set(idOf(registration), mergeRegistrations(registration, { ...registration, last }));
      later.push(put.end(registration, last));
    } else {
      const revision = random(5);
      const { last: _, ...updated } = { ...registration, slot: then, revision, meta: `${revision}` };
      registrations.set(idOf(registration), mergeRegistrations(registration, updated));
      later.push(put.registration(updated));
    }
  }
  return { sessions, registrations, created, later };
}
