import { expect, it } from "vitest";
import { Bench, hear, PERIOD_MS } from "./support.ts";

it("reads that are slow together, though none is given up, make a watcher stale, and hold an expiry back", async () => {
  const bench = new Bench();
  const [{ presence: a, link }, { presence: b, link: own }] = [
    await bench.open(),
    await bench.open({ feed: "poll" }),
  ];
  await a.pinger("k").start();
  const heard = await hear(b.watcher(), "k");
  await bench.periods(5);
  link.pause(); // for ever
  own.delay(PERIOD_MS * 0.15); // a call is given up after a fifth of a period
  await bench.periods(5);
  expect(b.health).toMatchObject({ state: "stale", reason: expect.stringMatching(/^a read took \d+ ms$/) });
  expect(heard).toEqual(["k alive initial"]);
  own.heal();
  await bench.periods(3);
  expect(b.health.state).toBe("healthy");
  expect(heard).toEqual(["k alive initial", "k dead expired"]);
});
