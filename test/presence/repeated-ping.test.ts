import { expect, it } from "vitest";
import { Bench } from "./support.ts";

it("a ping that nobody answers is sent once more, so a connection that is dead makes nobody lapse", async () => {
  const bench = new Bench();
  const sent = new Map<number, number>();
  let losesPings = false;
  const presence = await bench.openWith((namespace) => ({
    ping: (slot, seq) => {
      if (!losesPings) return namespace.ping(slot, seq);
      const count = (sent.get(slot) ?? 0) + 1;
      sent.set(slot, count);
      return count === 1 ? new Promise(() => {}) : namespace.ping(slot, seq);
    },
  }));
  await presence.pinger("k").start();
  await bench.periods(2);
  losesPings = true;
  let lapses = 0;
  presence.on("lapse", () => lapses++);
  await bench.periods(8);
  expect(lapses).toBe(0);
  expect(presence.health).toEqual({ state: "healthy" });
  expect(new Set([...sent.values()].slice(0, -1))).toEqual(new Set([2]));
});
