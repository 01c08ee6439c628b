import { expect, it } from "vitest";
import { Presence } from "../../src/index.ts";
import type { Write } from "../../src/core/store.ts";
import { Bench, PERIOD_MS, wrap } from "./support.ts";

it("a store that takes long for each write gets fewer at a time, and has them all in the end", async () => {
  const bench = new Bench();
  const eachMs = 200; // the first batch takes twice as long as it may
  const sizes: number[] = [];
  const store = wrap(bench.store, (namespace) => ({
    write: async (writes, signal) => {
      sizes.push(writes.length);
      await new Promise<void>((resolve) => void bench.clock.setTimer(resolve, writes.length * eachMs));
      if (signal?.aborted === true) return;
      await namespace.write(writes, signal);
    },
  }));
  const presence = await Presence.open(store, { periodMs: PERIOD_MS });
  let started = 0;
  for (let i = 0; i < 100; i++) {
    void presence
      .pinger(`k${i}`)
      .start()
      .then(() => started++);
  }
  await bench.periods(10);
  expect(Math.max(...sizes)).toBe(sizes[1]); // that of the session was the first
  expect(sizes.slice(2).every((size) => size < (sizes[1] ?? 0))).toBe(true);
  expect(started).toBe(100);
});

it("in one batch the ends go before the starts", async () => {
  const bench = new Bench();
  const batches: string[][] = [];
  const store = wrap(bench.store, (namespace) => ({
    write: (writes: readonly Write[], signal) => {
      batches.push(
        writes.map((write) => (write.kind === "registration" ? write.registration.key : write.kind)),
      );
      return namespace.write(writes, signal);
    },
  }));
  const presence = await Presence.open(store, { periodMs: PERIOD_MS });
  const [ended, begun] = [presence.pinger("ended"), presence.pinger("begun")];
  await ended.start();
  batches.length = 0;
  await Promise.all([begun.start(), ended.kill()]);
  expect(batches).toEqual([["ended", "begun"]]);
});

it("a batch that failed is sent again", async () => {
  const bench = new Bench();
  const { presence, link } = await bench.open();
  await presence.pinger("first").start();
  let failures = 0;
  link.intercept((operation) => (operation === "write" && failures++ === 0 ? "fail" : "pass"));
  let isStarted = false;
  void presence
    .pinger("second")
    .start()
    .then(() => (isStarted = true));
  await bench.periods(1);
  expect({ failures, isStarted }).toEqual({ failures: 2, isStarted: true });
});
