// What a test of a program may do, in CommonJS as Jest has it.
const { mkdtempSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const { HeartbitError, Presence } = require("heartbit");
const { dashboard } = require("heartbit/dashboard");
const { registerMetrics } = require("heartbit/metrics");
const { FaultyStore, ManualClock, MemoryStore } = require("heartbit/testing");
const { Registry } = require("prom-client");

test("every entry point", async () => {
  const presence = await Presence.open("memory:jest", { periodMs: 1000 });
  const { handler, close } = dashboard(presence);
  expect((await handler(new Request("http://localhost/"))).status).toBe(200);
  const registry = new Registry();
  registerMetrics(presence, registry);
  expect(await registry.metrics()).toContain("heartbit_held_keys");
  await close();
  await presence.close();
  await expect(presence.list()).rejects.toThrow(HeartbitError);
});

test("the embedded store", async () => {
  const presence = await Presence.open(`sqlite:${mkdtempSync(join(tmpdir(), "heartbit-jest-"))}/s`, {
    periodMs: 1000,
  });
  await presence.pinger("k").start();
  expect((await presence.list()).keys).toMatchObject([{ key: "k", alive: true }]);
  await presence.close();
});

test("fake timers and a manual clock", async () => {
  jest.useFakeTimers();
  const clock = new ManualClock();
  const store = new FaultyStore(new MemoryStore({ clock }));
  const presence = await Presence.open(store, { periodMs: 5000 });
  const lapsed = jest.fn();
  presence.on("lapse", lapsed);
  await presence.pinger("k").start();
  store.fail();
  await clock.advance(15_000);
  await presence.close();
  expect(lapsed).toHaveBeenCalledTimes(1);
  jest.useRealTimers();
});
