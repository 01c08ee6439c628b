import assert from "node:assert/strict";
import { forEachSession, SEGMENT_WORDS } from "../../core/bits.ts";
import type { Namespace } from "../../core/store.ts";
import { configured, randomNumbers, shuffled, type Suite } from "./world.ts";

/** Who pinged in which slot, by the records of the slots from `from` on. */
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
      for (const [index, seq] of seqs.entries()) await ns.ping(slot + index, [seq]);
      const expected = new Map(seqs.map((seq, index) => [slot + index, [seq]]));
      assert.deepEqual(await pinged(ns, slot), expected);
    }),
  );

  test(
    "all 32 bits of a word are set one by one, from the last to the first",
    configured(async ({ ns, slot }) => {
      for (let seq = 95; seq >= 64; seq--) await ns.ping(slot, [seq]);
      assert.deepEqual(
        (await pinged(ns, slot)).get(slot),
        Array.from({ length: 32 }, (_, bit) => 64 + bit),
      );
    }),
  );

  test(
    "a ping is idempotent: repeated, it changes nothing",
    configured(async ({ ns, another, slot }) => {
      const client = another();
      for (let count = 0; count < 3; count++) {
        await ns.ping(slot, [5, 31, 1024]);
        await client.ping(slot, [31]);
      }
      assert.deepEqual(await pinged(ns, slot), new Map([[slot, [5, 31, 1024]]]));
    }),
  );

  test(
    "a ping that comes late goes into its own slot",
    configured(async ({ ns, slot }) => {
      await ns.ping(slot + 2, [1]);
      await ns.ping(slot, [1, 2]);
      await ns.ping(slot + 1, [2]);
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
    "a ping of nobody sets nothing",
    configured(async ({ ns, slot }) => {
      await ns.ping(slot, []);
      assert.deepEqual(await pinged(ns, slot), new Map());
    }),
  );

  test(
    "pings gives the slots from the asked one on, those ahead of the present included",
    configured(async ({ ns, slot }) => {
      for (const ahead of [0, 1, 2, 50]) await ns.ping(slot + ahead, [1, 1024 + ahead]);
      assert.deepEqual(new Set((await pinged(ns, slot + 2)).keys()), new Set([slot + 2, slot + 50]));
      assert.deepEqual([...(await pinged(ns, slot + 51)).keys()], []);
      for (const from of [0, -5, -Infinity]) assert.equal((await pinged(ns, from)).size, 4);
    }),
  );

  for (const seed of [1, 2]) {
    test(
      `no ping of thousands at the same time is lost (seed ${seed})`,
      configured(async ({ ns, another, slot }) => {
        const random = randomNumbers(seed);
        const seqs = Array.from({ length: 6000 }, (_, index) => index + 1);
        const clients = Array.from({ length: 6 }, another);
        // Each client pings a part of its own, and a part that others ping as well, in two slots.
        const pings = clients.flatMap((client, index) => {
          const own = seqs.filter((seq) => seq % clients.length === index || random(5) === 0);
          const mixed = shuffled(own, random);
          return [0, 1].map((ahead) => client.ping(slot + ahead, mixed.slice(ahead * 10)));
        });
        const single = seqs.slice(0, 60).map((seq) => ns.ping(slot + 2, [seq]));
        await Promise.all([...pings, ...single]);
        const found = await pinged(ns, slot);
        assert.deepEqual(found.get(slot), seqs);
        assert.ok((found.get(slot + 1)?.length ?? 0) >= seqs.length - 60);
        assert.deepEqual(found.get(slot + 2), seqs.slice(0, 60));
      }),
    );
  }

  test(
    "what pings gives is the caller's own",
    configured(async ({ ns, slot }) => {
      await ns.ping(slot, [3]);
      const [first] = await ns.pings(slot);
      assert.ok(first !== undefined);
      await ns.ping(slot, [4]);
      assert.deepEqual([first.words[0], first.words[1]], [8, 0]);
      first.words.fill(-1);
      assert.deepEqual(await pinged(ns, slot), new Map([[slot, [3, 4]]]));
    }),
  );
};
