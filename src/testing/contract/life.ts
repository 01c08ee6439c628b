import assert from "node:assert/strict";
import {
  aRegistration,
  aSession,
  CONFIG,
  configured,
  everything,
  keysOf,
  put,
  readAll,
  type Suite,
} from "./world.ts";

export const lifeTests: Suite = (test) => {
  test("the store has a name, and its clock goes on", async ({ store, ns }) => {
    assert.ok(store.kind.length > 0);
    const first = await ns.time();
    const second = await ns.time();
    assert.ok(first > Date.UTC(2020, 0, 1), `${first} is a time of now, in ms since 1970`);
    assert.ok(second >= first - 50 && second <= first + 60_000, `${first}, then ${second}`);
  });

  test(
    "two namespaces are worlds of their own",
    configured(async ({ ns, other, name, slot }) => {
      const others = [other(`${name}2`), other(`${name}.x`)];
      for (const [index, namespace] of others.entries()) {
        assert.equal(await namespace.config(), undefined);
        await namespace.configure({ ...CONFIG, periodMs: 9000 + index });
        assert.equal(await namespace.nextSeq(), 1);
        await namespace.write([
          put.session(aSession(1, slot)),
          put.registration(aRegistration(1, `theirs-${index}`, slot)),
        ]);
        await namespace.ping(slot, 1);
        await namespace.mail(slot, [1]);
      }
      await ns.write([put.session(aSession(1, slot)), put.registration(aRegistration(1, "ours", slot))]);
      await ns.kill("theirs-0");
      assert.deepEqual([(await ns.countOpen(1)).count, (await ns.ping(slot, 1)).hasMail], [2, false]);
      await ns.prune({ beforeSlot: slot + 9, beforeMs: 8e15, limit: 100 });
      assert.deepEqual(await ns.pings(0), []);
      for (const [index, namespace] of others.entries()) {
        const { registrations } = await readAll(namespace, { select: everything() });
        assert.deepEqual(
          [...registrations.values()].map(({ key, last }) => [key, last]),
          [[`theirs-${index}`, undefined]],
        );
        assert.equal((await namespace.config())?.periodMs, 9000 + index);
        assert.equal((await namespace.pings(slot)).length, 1);
        assert.deepEqual(
          [(await namespace.countOpen(1)).count, (await namespace.ping(slot, 1)).hasMail],
          [2, true],
        );
      }
      await ns.drop();
      assert.equal((await readAll(others[1] ?? ns, { select: everything() })).registrations.size, 1);
    }),
  );

  test(
    "drop removes all: config, sessions, registrations, pings, mail",
    configured(async ({ ns, another, slot }) => {
      await ns.write([
        put.session(aSession(await ns.nextSeq(), slot)),
        put.registration(aRegistration(1, "key", slot)),
      ]);
      await ns.ping(slot, 1);
      await ns.mail(slot, [1]);
      await another().drop();
      assert.equal(await ns.config(), undefined);
      const found = await readAll(ns, { select: everything(), session: 1 });
      assert.deepEqual([found.sessions.size, found.registrations.size], [0, 0]);
      assert.deepEqual(await ns.pings(0), []);
      assert.equal((await ns.countOpen(1)).count, 0);
      assert.equal((await ns.ping(slot, 1)).hasMail, false);
    }),
  );

  test("drop of what nobody has opened, and drop twice, are no error", async ({ ns }) => {
    await ns.drop();
    await ns.configure(CONFIG);
    await ns.drop();
    await ns.drop();
    assert.equal(await ns.config(), undefined);
  });

  test(
    "after a drop the namespace can be set up again, and an old cursor misses nothing",
    configured(async ({ ns, slot }) => {
      const seqs = Array.from({ length: 20 }, (_, index) => index + 1);
      await ns.write(seqs.map((seq) => put.session(aSession(seq, slot))));
      const { cursor } = await readAll(ns, { select: everything() });
      await ns.drop();
      await ns.configure({ ...CONFIG, periodMs: 3000 });
      await ns.write([put.session(aSession(1, slot)), put.registration(aRegistration(1, "new", slot))]);
      assert.equal((await ns.config())?.periodMs, 3000);
      assert.deepEqual(keysOf(await readAll(ns, { select: everything(), since: cursor })), ["new"]);
    }),
  );

  test(
    "what a client has written stays when it closes; closing twice is harmless",
    configured(async ({ ns, another, slot }) => {
      const client = another();
      await client.write([put.session(aSession(1, slot)), put.registration(aRegistration(1, "key", slot))]);
      await client.close();
      await client.close();
      assert.deepEqual(keysOf(await readAll(ns, { select: everything() })), ["key"]);
    }),
  );

  test("closing a store twice is harmless, and hurts no other", async ({ makeStore, ns }) => {
    const second = await makeStore();
    await second.close();
    await second.close();
    await ns.configure(CONFIG);
    assert.equal((await ns.config())?.periodMs, CONFIG.periodMs);
  });
};
