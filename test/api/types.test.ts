/** What a program in strict TypeScript may do with what it is given: the compiler is the judge. */
import { expect, it } from "vitest";
import { type Change, type Holder, type KeyState, Presence } from "../../src/index.ts";
import { ManualClock, MemoryStore } from "../../src/testing/index.ts";

it("changes have plain types: the receiver may keep them", async () => {
  const clock = new ManualClock();
  const presence = await Presence.open(new MemoryStore({ clock }), { clock });
  await presence.pinger("k").start();
  const listing: { asOf: Date; confirmed: boolean; keys: KeyState[] } = await presence.list();
  const holders: Holder[] = listing.keys.flatMap((state): Holder[] => state.holders);
  const changes: AsyncIterable<Change> = presence.watcher().changes("k");
  for await (const change of changes) {
    const told: { key: string; alive: boolean; at: Date; holders: Holder[] } = change;
    expect(told.holders).toEqual(holders);
    break;
  }
  await presence.close();
});

interface Work {
  readonly queue: string;
  readonly step?: number;
}

it("metas have the type that the program gives them, and null where none was given", async () => {
  const presence = await Presence.open<Work>(new MemoryStore());
  const pinger = presence.pinger("k", { meta: { queue: "mail" } });
  await pinger.start();
  await pinger.update({ queue: "mail", step: 2 });
  // @ts-expect-error -- a queue is a text
  const wrong = { meta: { queue: 5 } } satisfies Parameters<typeof presence.pinger>[1];
  const { keys } = await presence.list();
  const queues: (string | undefined)[] = keys.flatMap(({ holders }) =>
    holders.map(({ meta }) => meta?.queue),
  );
  presence.watcher().watch("k", ({ holders: [holder] }) => queues.push(holder?.meta?.queue));
  expect(queues).toEqual(["mail"]);
  expect(wrong.meta.queue).toBe(5);
  const untyped: Presence = presence; // what takes any presence takes this one
  await untyped.close();
});
