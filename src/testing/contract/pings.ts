import assert from "node:assert/strict";
import { forEachSession, SEGMENT_WORDS } from "../../core/bits.ts";
import type { Namespace } from "../../core/store.ts";
import { configured, randomNumbers, shuffled, type Suite, timeAfter } from "./world.ts";

/** Which sessions pinged in which slot, by the records from slot `from` on. */
async function pinged(ns: Namespace, from: number): Promise<Map<number, number[]>> {
  const slots = new Map<number, Set<number>>();
  for (const record of await ns.pings(from)) {
    assert.equal(record.words.length, SEGMENT_WORDS);
    assert.ok(record.words instanceof Int32Array);
    const seqs = slots.get(record.slot) ?? new Set();
    forEachSession(record, (seq) => seqs.add(seq));
    if (seqs.size > 0) slots.set(record.slot, seqs);
  }
  return new Map([...slots].map(([slot, seqs]) => [slot, [...seqs].toSorted((a, b) => a - b)]));
}

export const pingTests: Suite = (test) => {
  test(
    "each session has a bit of its own: at the ends of words and segments, and far out",
    configured(async ({ ns, slot }) => {
      const ends = [1, 30, 31, 32, 33, 62, 63, 64, 991, 992, 1022, 1023, 1024, 1025, 1055, 1056, 2047, 2048];
      const seqs = [...ends, 1_000_000, 5_000_031, 2 ** 31 - 1, 2 ** 31, 2 ** 40 + 31];
      for (const [index, seq] of seqs.entries()) await ns.ping(slot + index, seq);
      const expected = new Map(seqs.map((seq, index) => [slot + index, [seq]]));
      assert.deepEqual(await pinged(ns, slot), expected);
    }),
  );

  test(
    "all 32 bits of a word are set one by one, from the last to the first",
    configured(async ({ ns, slot }) => {
      for (let seq = 95; seq >= 64; seq--) await ns.ping(slot, seq);
      assert.deepEqual(
        (await pinged(ns, slot)).get(slot),
        Array.from({ length: 32 }, (_, bit) => 64 + bit),
      );
    }),
  );

  test(
    "a ping that is repeated sets no other bit",
    configured(async ({ ns, another, slot }) => {
      const client = another();
      for (let count = 0; count < 3; count++) {
        for (const seq of [5, 31, 1024]) await ns.ping(slot, seq);
        await client.ping(slot, 31);
      }
      assert.deepEqual(await pinged(ns, slot), new Map([[slot, [5, 31, 1024]]]));
    }),
  );

  test(
    "a ping that is repeated renews the stamp and the revision of its record",
    configured(async ({ ns, slot }) => {
      let stamped = 0;
      let latest = 0;
      for (let count = 0; count < 3; count++) {
        await timeAfter(ns, stamped + 2);
        const { ms, revision } = await ns.ping(slot, 5);
        const [record] = await ns.pings(slot);
        assert.deepEqual([record?.ms, record?.revision], [ms, revision]);
        assert.ok(revision > latest, `revision ${latest}, then ${revision}`);
        latest = revision;
        assert.ok(ms > stamped, `${stamped}, then ${ms}`);
        stamped = ms;
      }
    }),
  );

  test(
    "the answer to a ping has the store's time",
    configured(async ({ ns, another, slot }) => {
      for (const seq of [1, 2]) {
        const before = await ns.time();
        const { ms } = await another().ping(slot, seq);
        const after = await ns.time();
        assert.ok(ms >= before - 50 && ms <= after + 50, `${before} <= ${ms} <= ${after}`);
      }
    }),
  );

  test(
    "each record has the stamp of its own latest ping",
    configured(async ({ ns, slot }) => {
      const stamps = new Map<number, number>();
      for (const seq of [1, 2, 1024]) {
        await timeAfter(ns, Math.max(0, ...stamps.values()) + 2);
        stamps.set(Math.floor(seq / 1024), (await ns.ping(slot, seq)).ms);
      }
      const found = new Map((await ns.pings(slot)).map(({ segment, ms }) => [segment, ms]));
      assert.deepEqual(found, stamps);
    }),
  );

  test(
    "a ping that comes late goes into its own slot",
    configured(async ({ ns, slot }) => {
      await ns.ping(slot + 2, 1);
      await ns.ping(slot, 1);
      await ns.ping(slot, 2);
      await ns.ping(slot + 1, 2);
      const expected = [
        [slot, [1, 2]],
        [slot + 1, [2]],
        [slot + 2, [1]],
      ] as const;
      assert.deepEqual(
        [...(await pinged(ns, slot))].toSorted(([a], [b]) => a - b),
        expected,
      );
    }),
  );

  test(
    "pings gives the slots from the asked one on, those of future slots included",
    configured(async ({ ns, slot }) => {
      for (const ahead of [0, 1, 2, 50])
        for (const seq of [1, 1024 + ahead]) await ns.ping(slot + ahead, seq);
      assert.deepEqual(new Set((await pinged(ns, slot + 2)).keys()), new Set([slot + 2, slot + 50]));
      assert.deepEqual([...(await pinged(ns, slot + 51)).keys()], []);
      for (const from of [0, -5, -Infinity]) assert.equal((await pinged(ns, from)).size, 4);
    }),
  );

  for (const seed of [1, 2]) {
    test(
      `no ping of many at the same time is lost, and each has its own answer (seed ${seed})`,
      configured(async ({ ns, another, slot }) => {
        const random = randomNumbers(seed);
        const seqs = Array.from({ length: 150 }, (_, index) => 950 + index); // two segments
        const clients = Array.from({ length: 6 }, another);
        const withMail = new Set(seqs.filter(() => random(3) === 0));
        await ns.mail(slot, [...withMail]);
        const pings = shuffled([...seqs, ...seqs.filter(() => random(5) === 0)], random);
        const answers = await Promise.all(
          pings.map(async (seq, index) => ({
            seq,
            ...(await (clients[index % clients.length] ?? ns).ping(slot, seq)),
          })),
        );
        assert.deepEqual((await pinged(ns, slot)).get(slot), seqs);
        assert.deepEqual(new Set(answers.filter(({ hasMail }) => hasMail).map(({ seq }) => seq)), withMail);
      }),
    );
  }

  test(
    "what pings gives is the caller's own",
    configured(async ({ ns, slot }) => {
      await ns.ping(slot, 3);
      const [first] = await ns.pings(slot);
      assert.ok(first !== undefined);
      await ns.ping(slot, 4);
      assert.deepEqual([first.words[0], first.words[1]], [8, 0]);
      first.words.fill(-1);
      assert.deepEqual(await pinged(ns, slot), new Map([[slot, [3, 4]]]));
    }),
  );

  test(
    "mail is seen by every later ping of its session in its slot, and by no other session and no other slot",
    configured(async ({ ns, another, slot }) => {
      await ns.ping(slot, 5);
      assert.equal((await ns.ping(slot, 5)).hasMail, false);
      await another().mail(slot, [5]);
      for (const client of [ns, ns, another()]) assert.equal((await client.ping(slot, 5)).hasMail, true);
      for (const seq of [4, 6, 5 + 32, 5 + 1024]) assert.equal((await ns.ping(slot, seq)).hasMail, false);
      for (const other of [slot - 1, slot + 1]) assert.equal((await ns.ping(other, 5)).hasMail, false);
    }),
  );

  test(
    "mail may come before the first ping of its slot, twice, and for several at once",
    configured(async ({ ns, slot }) => {
      const sent = [0, 31, 32, 1023, 1024, 2 ** 31 + 63];
      await ns.mail(slot + 1, sent);
      await ns.mail(slot + 1, sent.slice(2));
      await ns.mail(slot + 1, []);
      const neighbours = [1, 30, 33, 1022, 1025, 2 ** 31 + 62, 2 ** 31 + 64];
      for (const seq of sent) assert.equal((await ns.ping(slot + 1, seq)).hasMail, true, `${seq}`);
      for (const seq of neighbours) assert.equal((await ns.ping(slot + 1, seq)).hasMail, false, `${seq}`);
    }),
  );

  test(
    "mail is no ping: a slot with nothing else has no bits and no stamp",
    configured(async ({ ns, slot }) => {
      await ns.mail(slot, [1, 31, 1024]);
      assert.deepEqual(await pinged(ns, slot), new Map());
      for (const { ms } of await ns.pings(slot)) assert.equal(ms, 0);
      await ns.ping(slot, 2);
      assert.deepEqual(await pinged(ns, slot), new Map([[slot, [2]]]));
    }),
  );
};
