import { expect, it } from "vitest";
import { Bench, restartable } from "./support.ts";

it("a presence that neither holds nor watches is healthy again once the store is found", async () => {
  const bench = new Bench();
  const { presence, restart } = await restartable(bench.store);
  restart();
  await bench.periods(20);
  await presence.list();
  expect(presence.health).toEqual({ state: "healthy" });
});
