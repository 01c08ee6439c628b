import { expect, it } from "vitest";
import type { StoreNotice } from "../../src/core/store.ts";
import { Presence } from "../../src/index.ts";
import { Bench, PERIOD_MS, wrap } from "./support.ts";

it("who neither holds nor watches is healthy again once the store is found", async () => {
  const bench = new Bench();
  let notify: ((notice: StoreNotice) => void) | undefined;
  const store = wrap(bench.store, () => ({
    notices: (listener: (notice: StoreNotice) => void) => {
      notify = listener;
      return () => (notify = undefined);
    },
  }));
  const presence = await Presence.open(store, { periodMs: PERIOD_MS });
  notify?.({ kind: "lost", reason: "a failover" });
  notify?.({ kind: "found" });
  await bench.periods(20);
  await presence.list();
  expect(presence.health).toEqual({ state: "healthy" });
});
