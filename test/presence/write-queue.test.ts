import { expect, it } from "vitest";
import { Bench } from "./support.ts";

it("a store that takes long for each write gets fewer at a time, and has them all in the end", async () => {
  const bench = new Bench();
  const eachMs = 200; // the first batch takes twice as long as it may
  const sizes: number[] = [];
  const presence = await bench.openWith((namespace) => ({
    write: async (writes, signal) => {
      sizes.push(writes.length);
      await new Promise<void>((resolve) => void bench.clock.setTimer(resolve, writes.length * eachMs));
      if (signal?.aborted === true) return;
      await namespace.write(writes, signal);
    },
  }));
  const starts = Array.from({ length: 100 }, (_, index) => presence.pinger(`k${index}`).start());
  const started = Promise.all(starts);
  await bench.periods(10);
  await started;
  expect(Math.max(...sizes)).toBe(sizes[1]); // that of the session was the first
  expect(sizes.slice(2).every((size) => size < (sizes[1] ?? 0))).toBe(true);
});

it("in one batch the ends go before the starts", async () => {
  const bench = new Bench();
  const batches: string[][] = [];
  const presence = await bench.openWith((namespace) => ({
    write: (writes, signal) => {
      batches.push(writes.map((one) => (one.kind === "registration" ? one.registration.key : one.kind)));
      return namespace.write(writes, signal);
    },
  }));
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
  const starting = presence.pinger("second").start();
  await bench.periods(1);
  await starting;
  expect(failures).toBe(2);
});
