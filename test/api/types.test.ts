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
