import { expect, it } from "vitest";
import { Presence } from "../../src/index.ts";
import { Bench, PERIOD_MS, wrap } from "./support.ts";

const RETENTION_SLOTS = 80;
const RETENTIONS = 3;

/** With so many presences, how many times was pruned in a few retentions. */
async function timesPruned(presences: number): Promise<number> {
  const bench = new Bench();
  const pruned = new Set<number>();
  const store = wrap(bench.store, (namespace) => ({
    prune: (query) => {
      pruned.add(query.beforeSlot); // each pruning calls until nothing is left
      return namespace.prune(query);
    },
  }));
  for (let index = 0; index < presences; index++) {
    const presence = await Presence.open(store, { periodMs: PERIOD_MS, retentionSlots: RETENTION_SLOTS });
    await presence.pinger(`key-${index}`).start();
  }
  await bench.periods(RETENTIONS * RETENTION_SLOTS);
  return pruned.size;
}

it("is pruned some eight times in a retention, however many presences there are, and by few as well", async () => {
  const times = await timesPruned(300);
  expect(times).toBeLessThanOrEqual(12 * RETENTIONS);
  expect(times).toBeGreaterThan(4 * RETENTIONS);
  expect(await timesPruned(1)).toBeGreaterThan(0);
});
