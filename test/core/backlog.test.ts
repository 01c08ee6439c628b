/** What waits to be written. */
import { expect, it } from "vitest";
import { Backlog } from "../../src/core/backlog.ts";
import { StoreTime } from "../../src/core/store-time.ts";
import { ManualClock } from "../../src/testing/index.ts";

it("very many ends wait at once, as when a server has lost them", () => {
  const backlog = new Backlog();
  const ends = Array.from({ length: 200_000 }, (_, pinger) => ({
    id: { session: 1, pinger, start: 1 },
    last: 5,
  }));
  backlog.addEnds(ends);
  const { writes } = backlog.take(1, Infinity, new StoreTime(new ManualClock(), 5000));
  expect(writes).toHaveLength(200_000);
});
