import { expect, it } from "vitest";
import { Bench, hear, PERIOD_MS } from "./support.ts";

it("what was destroyed while a watcher was away is not known to it for ever, but until it has read all", async () => {
  const bench = new Bench();
  const short = { retentionSlots: 10 }; // a watcher that was away for more than half of it reads everything again
  const [{ presence: a }, { presence: b, link }] = [await bench.open(short), await bench.open(short)];
  const pinger = a.pinger("k");
  await pinger.start();
  const heard = await hear(b.watcher(), "k");
  await pinger.stop({ holdMs: 100 * PERIOD_MS });
  await bench.periods(3);
  link.fail();
  bench.store.destroy("presence", { registration: ({ key }) => key === "k" });
  await bench.periods(6);
  link.heal();
  await bench.periods(8);
  expect(heard).toHaveLength(2);
  expect(heard[1]).toMatch(/^k dead/);
});
