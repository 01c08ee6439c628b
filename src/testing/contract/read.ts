import assert from "node:assert/strict";
import { turn } from "../../lib/turn.ts";
import type { RegistrationRecord, SessionRecord } from "../../core/records.ts";
import type { Cursor, Namespace, Page, Write } from "../../core/store.ts";
import {
  aRegistration,
  aSession,
  configured,
  everything,
  type Found,
  idOf,
  keysOf,
  only,
  plain,
  put,
  randomNumbers,
  readAll,
  type Suite,
  type Wanted,
} from "./world.ts";

/** Writes `sessions` sessions, which hold `registrations` registrations in turn. */
async function fill(
  ns: Namespace,
  slot: number,
  sessions: number,
  registrations: number,
): Promise<RegistrationRecord[]> {
  const held = Array.from({ length: registrations }, (_, index) =>
    aRegistration(1 + (index % sessions), `key-${index}`, slot, { pinger: index }),
  );
  const opened = Array.from({ length: sessions }, (_, index) => put.session(aSession(index + 1, slot)));
  await ns.write([...opened, ...held.map(put.registration)]);
  return held;
}

/** The end of a registration of session 1. */
const endOf = (pinger: number, last: number): Write => put.end({ session: 1, pinger, start: 1 }, last);
const idsOf = (found: Found): string[] => [...found.registrations.keys()].toSorted();
const seqsOf = (found: Found): number[] => [...found.sessions.keys()].toSorted((a, b) => a - b);

export const readTests: Suite = (test) => {
  test(
    "reading an empty namespace gives one empty page with a cursor",
    configured(async ({ ns }) => {
      const { pages } = await readAll(ns, { select: everything() });
      assert.deepEqual(
        pages.map(({ sessions, registrations }) => [sessions.length, registrations.length]),
        [[0, 0]],
      );
    }),
  );

  test(
    "reading all of 1,200 registrations of 1,100 sessions gives each once, none before its session",
    configured(async ({ ns, slot }) => {
      const registrations = await fill(ns, slot, 1100, 1200);
      const found = await readAll(ns, { select: everything() });
      assert.deepEqual(idsOf(found), registrations.map(idOf).toSorted());
      assert.equal(found.pages.flatMap((page) => page.registrations).length, 1200);
      assert.equal(found.sessions.size, 1100);
      assert.ok(found.pages.length > 1, "so many come in more than one page");
    }),
  );

  test(
    "reading 1,100 keys by name and 100 by prefix gives just these",
    configured(async ({ ns, slot }) => {
      const registrations = await fill(ns, slot, 3, 1400);
      const names = registrations.slice(0, 1100).map(({ key }) => key);
      const wanted = [...registrations.slice(0, 1100), ...registrations.slice(1200, 1300)];
      const prefixes = Array.from({ length: 10 }, (_, index) => ({ prefix: `key-12${index}` }));
      const found = await readAll(ns, { select: only(...names, ...prefixes) });
      assert.deepEqual(idsOf(found), wanted.map(idOf).toSorted());
    }),
  );

  test(
    "a read gives the sessions of the registrations that it gives",
    configured(async ({ ns, slot }) => {
      await fill(ns, slot, 5, 10);
      const found = await readAll(ns, { select: only("key-1", "key-6", "key-8") });
      assert.deepEqual(keysOf(found), ["key-1", "key-6", "key-8"]);
      for (const seq of [2, 4]) assert.ok(found.sessions.has(seq));
    }),
  );

  test(
    "a read gives the asked session's record and its registrations, whatever is selected",
    configured(async ({ ns, slot }) => {
      await fill(ns, slot, 5, 10);
      await ns.write([put.session(aSession(6, slot))]);
      const own = await readAll(ns, { session: 3 });
      assert.deepEqual([keysOf(own), seqsOf(own).includes(3)], [["key-2", "key-7"], true]);
      const both = await readAll(ns, { select: only("key-7", "key-9"), session: 3 });
      assert.deepEqual(keysOf(both), ["key-2", "key-7", "key-9"]);
      const idle = await readAll(ns, { session: 6 });
      assert.deepEqual([keysOf(idle), seqsOf(idle).includes(6)], [[], true]);
      const missing = await readAll(ns, { session: 77 });
      assert.equal(missing.sessions.has(77), false);
    }),
  );

  test(
    "of the asked session a read gives the registrations that have ended alone, or none, where it is asked for them",
    configured(async ({ ns, slot }) => {
      await fill(ns, slot, 2, 8);
      await ns.write([endOf(0, 0), endOf(2, slot + 9)]);
      const { cursor } = await readAll(ns, { select: everything() });
      const asks: [Partial<Wanted>, string[]][] = [
        [{ registrations: "ended" }, ["key-0", "key-2"]],
        [{ registrations: "all" }, ["key-0", "key-2", "key-4", "key-6"]],
        [{ registrations: undefined }, []],
        [{ registrations: "ended", select: only("key-4", "key-1") }, ["key-0", "key-1", "key-2", "key-4"]],
        [{ registrations: undefined, select: only("key-4", "key-1") }, ["key-1", "key-4"]],
      ];
      for (const [ask, keys] of asks) {
        const found = await readAll(ns, { session: 1, ...ask });
        assert.deepEqual([keysOf(found), found.sessions.has(1)], [keys, true], JSON.stringify(ask));
      }
      const later = await readAll(ns, { session: 1, since: cursor, registrations: "ended" });
      assert.deepEqual(keysOf(later), ["key-0", "key-2"]); // though they had ended before
    }),
  );

  test(
    "countOpen counts the session and its registrations that have no `last`, and no other's",
    configured(async ({ ns, another, slot }) => {
      const count = async (session = 1): Promise<number> => (await another().countOpen(session)).count;
      assert.equal(await count(), 0);
      await ns.write([put.session(aSession(1, slot)), put.session(aSession(11, slot))]);
      assert.equal(await count(), 1);
      await ns.write([
        ...[1, 2, 3, 4].map((pinger) => put.registration(aRegistration(1, "key", slot, { pinger }))),
        put.registration(aRegistration(1, "key", slot, { pinger: 5, last: slot })),
        put.registration(aRegistration(11, "key", slot)),
      ]);
      assert.equal(await count(), 5);
      await ns.write([endOf(1, slot), endOf(2, 0), endOf(3, slot + 1000)]); // stopped, ended at once, away
      assert.equal(await count(), 2);
      await ns.write([put.endSession(1, slot)]);
      assert.equal(await count(), 1);
      await ns.kill("key");
      assert.deepEqual([await count(), await count(11)], [0, 1]);
    }),
  );

  test(
    "countOpen says when the session was opened, while it is open",
    configured(async ({ ns, slot }) => {
      assert.equal((await ns.countOpen(1)).opened, undefined);
      const session = aSession(1, slot);
      await ns.write([put.session(session), put.session(aSession(2, slot + 1))]);
      assert.equal((await ns.countOpen(1)).opened, session.opened);
      await ns.write([put.registration(aRegistration(1, "key", slot)), put.endSession(1, slot + 9)]);
      const { count, opened } = await ns.countOpen(1);
      assert.deepEqual([count, opened], [1, undefined]);
    }),
  );

  test(
    "countOpen counts 1,100 registrations",
    configured(async ({ ns, slot }) => {
      await fill(ns, slot, 1, 1100);
      assert.equal((await ns.countOpen(1)).count, 1101);
    }),
  );

  test(
    "a read gives several holders of a key, ended ones too",
    configured(async ({ ns, slot }) => {
      const holders = [1, 2, 3].map((session) => aRegistration(session, "key", slot));
      await ns.write([1, 2, 3].map((seq) => put.session(aSession(seq, slot))));
      await ns.write([...holders.map(put.registration), put.end({ session: 2, pinger: 1, start: 1 }, 0)]);
      const found = await readAll(ns, { select: only("key") });
      assert.deepEqual(
        new Map([...found.registrations.values()].map(({ session, last }) => [session, last])),
        new Map([
          [1, undefined],
          [2, 0],
          [3, undefined],
        ]),
      );
    }),
  );

  test(
    "nothing is selected: a read gives no registration",
    configured(async ({ ns, slot }) => {
      await fill(ns, slot, 2, 4);
      assert.deepEqual(keysOf(await readAll(ns, {})), []);
    }),
  );

  test(
    "what a read gave is not touched by later writes, and is the caller's own",
    configured(async ({ ns, slot }) => {
      const [registration] = await fill(ns, slot, 1, 1);
      assert.ok(registration !== undefined);
      const first = await readAll(ns, { select: everything() });
      const records = [...first.sessions.values(), ...first.registrations.values()];
      const before = structuredClone(records);
      await ns.write([put.end(registration, 0), put.endSession(1, 0), put.session(aSession(1, slot + 4))]);
      assert.deepEqual(records, before);
      const { sessions, registrations } = await readAll(ns, { select: everything() });
      for (const record of [...sessions.values(), ...registrations.values()])
        Object.assign(record, { host: "mine", meta: "mine", slot: 0 });
      const again = await readAll(ns, { select: everything() });
      assert.equal(again.sessions.get(1)?.host, "host-1");
      assert.equal(again.registrations.get(idOf(registration))?.meta, "{}");
    }),
  );

  test(
    "a read with a cursor gives all that has changed since: created, updated, ended, killed",
    configured(async ({ ns, another, slot }) => {
      const registrations = await fill(ns, slot, 4, 40);
      const { cursor } = await readAll(another(), { select: everything() });
      const [first, second, third] = registrations;
      assert.ok(first !== undefined && second !== undefined && third !== undefined);
      const created = aRegistration(9, "new", slot);
      await ns.write([put.session(aSession(9, slot)), put.registration(created)]);
      await ns.write([put.registration({ ...first, meta: "1", revision: 1 }), put.end(second, slot + 1)]);
      await ns.write([put.endSession(4, slot + 2)]);
      await ns.kill(third.key);
      const found = await readAll(another(), { select: everything(), since: cursor });
      assert.equal(found.registrations.get(idOf(first))?.meta, "1");
      assert.equal(found.registrations.get(idOf(second))?.last, slot + 1);
      assert.equal(found.registrations.get(idOf(third))?.last, 0);
      assert.deepEqual(plain(found.registrations.get(idOf(created)) ?? first), plain(created));
      assert.equal(found.sessions.get(4)?.last, slot + 2);
    }),
  );

  test(
    "a read with a cursor gives of the registrations the selected ones, of the sessions all that changed",
    configured(async ({ ns, slot }) => {
      const { cursor } = await readAll(ns, { select: only("mine") });
      await ns.write([
        put.session(aSession(1, slot)),
        put.session(aSession(2, slot)),
        put.registration(aRegistration(1, "mine", slot)),
        put.registration(aRegistration(1, "other's", slot, { pinger: 2 })),
        put.endSession(2, slot),
      ]);
      const found = await readAll(ns, { select: only("mine"), since: cursor });
      assert.deepEqual(keysOf(found), ["mine"]);
      assert.deepEqual(seqsOf(found), [1, 2]);
      assert.equal(found.sessions.get(2)?.last, slot);
      const none = await readAll(ns, { select: only("another"), since: cursor });
      assert.deepEqual([keysOf(none), seqsOf(none)], [[], [1, 2]]);
    }),
  );

  test(
    "a read with a cursor gives the asked session's record though it has not changed, with its slot as it is",
    configured(async ({ ns, slot }) => {
      await fill(ns, slot, 2, 2);
      const { cursor } = await readAll(ns, { session: 1 });
      await ns.write([put.session(aSession(1, slot + 3))]);
      const found = await readAll(ns, { session: 1, since: cursor });
      assert.equal(found.sessions.get(1)?.slot, slot + 3);
    }),
  );

  test(
    "1,200 changes since a cursor are all given",
    configured(async ({ ns, slot }) => {
      const { cursor } = await readAll(ns, { select: everything() });
      const registrations = await fill(ns, slot, 1100, 1200);
      const found = await readAll(ns, { select: everything(), since: cursor });
      assert.deepEqual(idsOf(found), registrations.map(idOf).toSorted());
      assert.equal(found.sessions.size, 1100);
    }),
  );

  test(
    "what changes while a read goes on is given by it or by a read with its cursor",
    configured(async ({ ns, slot }) => {
      const registrations = await fill(ns, slot, 2, 1200);
      const held = new Map<string, RegistrationRecord>();
      let cursor: Cursor | undefined;
      let pages = 0;
      for await (const page of ns.read({ select: everything() })) {
        for (const registration of page.registrations) held.set(idOf(registration), registration);
        if (pages++ === 0) {
          await ns.write(registrations.slice(0, 20).map((registration) => put.end(registration, slot)));
          await ns.write(registrations.slice(-20).map((registration) => put.end(registration, slot)));
          await ns.write([put.registration(aRegistration(2, "new", slot, { pinger: 9999 }))]);
        }
        cursor = page.cursor;
      }
      const since = await readAll(ns, { select: everything(), since: cursor });
      for (const [id, registration] of since.registrations) held.set(id, registration);
      assert.equal(held.size, 1201);
      assert.equal([...held.values()].filter(({ last }) => last === slot).length, 40);
    }),
  );

  for (const seed of [1, 2]) {
    test(
      `a reader that follows its cursors misses nothing that clients write at the same time (seed ${seed})`,
      configured(async ({ ns, another, slot }) => {
        const random = randomNumbers(seed);
        const heard = {
          sessions: new Map<number, SessionRecord>(),
          registrations: new Map<string, RegistrationRecord>(),
        };
        let since = (await readAll(ns, { select: everything() })).cursor;
        const follow = async (): Promise<void> => {
          const found = await readAll(ns, { select: everything(), since });
          for (const [seq, session] of found.sessions) heard.sessions.set(seq, session);
          for (const [id, registration] of found.registrations) heard.registrations.set(id, registration);
          since = found.cursor;
        };
        const write = async (seq: number): Promise<void> => {
          const client = another();
          await client.write([put.session(aSession(seq, slot))]);
          for (let pinger = 1; pinger <= 25; pinger++) {
            const registration = aRegistration(seq, `key-${random(9)}`, slot, { pinger });
            await client.write([put.registration(registration)]);
            if (random(2) === 0) await client.write([put.end(registration, slot + random(3))]);
          }
          await client.write([put.endSession(seq, slot)]);
        };
        const progress = { isWriting: true };
        const writers = Promise.all([1, 2, 3, 4, 5, 6].map(write)).finally(
          () => (progress.isWriting = false),
        );
        const reader = async (): Promise<void> => {
          while (progress.isWriting) {
            await follow();
            await turn();
          }
        };
        // Together, so that a failure of either fails the test while the other still waits.
        await Promise.all([writers, reader()]);
        await follow();
        const stored = await readAll(ns, { select: everything() });
        assert.deepEqual(idsOf({ ...stored, ...heard }), idsOf(stored));
        for (const [id, registration] of stored.registrations)
          assert.deepEqual(plain(heard.registrations.get(id) ?? registration), plain(registration));
        for (const [seq, session] of stored.sessions)
          assert.deepEqual(plain(heard.sessions.get(seq) ?? session), plain(session));
        assert.equal(heard.sessions.size, 6);
      }),
    );
  }

  test(
    "a read may be ended early, 150 times, and held open while others go on",
    configured(async ({ ns, slot }) => {
      await fill(ns, slot, 2, 600); // more than a page
      const begin = async (): Promise<AsyncIterator<Page>> => {
        const read = ns.read({ select: everything() })[Symbol.asyncIterator]();
        for (;;) {
          const { done, value } = await read.next();
          assert.ok(done !== true);
          if (value.registrations.length > 0) return read;
        }
      };
      const open = await begin();
      for (let count = 0; count < 150; count++) await (await begin()).return?.();
      await ns.write([put.registration(aRegistration(1, "new", slot, { pinger: 9999 }))]);
      assert.deepEqual(keysOf(await readAll(ns, { select: only("new") })), ["new"]);
      await open.return?.();
    }),
  );
};
