/** What `Presence.open` takes, what it refuses with one sentence, and where a presence runs. */
import { AsyncLocalStorage } from "node:async_hooks";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, inject, it } from "vitest";
import { HeartbitError, Presence } from "../../src/index.ts";
import { internalsOf } from "../../src/presence/internals.ts";
import { MemoryStore } from "../../src/testing/index.ts";
import { until } from "../support/wait.ts";
import { aliveFor, refusal } from "./support.ts";
import { bench, link, other, presence } from "./two-presences.ts";

it("an option that does not exist is refused, by every call that takes options", async () => {
  const opened = Presence.open("memory:opening", { perriodMs: 1000 } as never);
  await expect(opened).rejects.toEqual(
    refusal("INVALID_OPTION", /^There is no option "perriodMs": the options are name, periodMs, /),
  );
  const wrong = { mta: 1 } as never;
  for (const call of [
    async () => presence.pinger("k", wrong),
    async () => presence.list(wrong),
    async () => presence.pinger("k").stop(wrong),
    async () => presence.watcher().changes({ all: true }, wrong),
    async () => presence.close(wrong),
  ])
    await expect(call()).rejects.toEqual(refusal("INVALID_OPTION", /^There is no option "mta"/));
});

it.each(["now", "monotonic", "setTimer"])("a clock without %s is refused", async (missing) => {
  const clock = { now: Date.now, monotonic: Date.now, setTimer: () => () => {}, [missing]: undefined };
  const opened = Presence.open(new MemoryStore(), { clock });
  await expect(opened).rejects.toEqual(
    refusal("INVALID_OPTION", /a Clock, with now, monotonic and setTimer/),
  );
});

it("a connection whose db is not there yet is refused", async () => {
  const connecting = Presence.open({ db: undefined });
  await expect(connecting).rejects.toEqual(refusal("INVALID_OPTION", /a connection that has no db yet/));
});

it("a client is refused, with what to pass", async () => {
  const client = Presence.open({ db: () => ({}) } as never);
  await expect(client).rejects.toEqual(
    refusal("INVALID_OPTION", /a MongoClient, .* Pass .*: client\.db\(\)/),
  );
});

it("nothing runs in the async context of the request that opened it", async () => {
  const request = new AsyncLocalStorage<string>();
  const seen: unknown[] = [];
  await using opened = await request.run("the request", async () => {
    const one = await Presence.open("memory:context", { periodMs: 100 });
    one.watcher().watch({ all: true }, () => seen.push(request.getStore()));
    return one;
  });
  await opened.pinger("k").start();
  await until(() => seen.length > 0);
  expect(seen).toEqual([undefined]);
});

it("two copies of the module share memory stores, errors and presences", async () => {
  const copy = (await import(pathToFileURL(join(inject("built"), "index.js")).href)) as {
    Presence: typeof Presence;
    HeartbitError: typeof HeartbitError;
  };
  expect(copy.Presence).not.toBe(Presence);
  const ours = await Presence.open("memory:copies", { periodMs: 100 });
  const theirs = await copy.Presence.open("memory:copies", { periodMs: 100 });
  await theirs.pinger("k").start();
  expect(await aliveFor(ours)).toEqual(["k"]);
  expect(theirs).toBeInstanceOf(Presence);
  expect(ours).toBeInstanceOf(copy.Presence);
  expect(internalsOf(theirs).name).toBe("presence");
  await theirs.close();
  await ours.close();
  const error: unknown = await theirs.list().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(HeartbitError);
  expect(error).toBeInstanceOf(copy.HeartbitError);
  expect({ code: "PRESENCE_CLOSED" }).not.toBeInstanceOf(HeartbitError);
});

it("closing on a manual clock does not wait for time to pass, although the store is away", async () => {
  await presence.pinger("k").start();
  link.fail();
  await presence.close();
  expect(bench.now).toBe(0);
});

it("closing on a manual clock that is advanced waits for a store that comes back", async () => {
  await presence.pinger("k").start();
  link.fail();
  const closing = presence.close();
  await bench.clock.advance(1000);
  link.heal();
  await bench.during(0.2, closing);
  expect(await aliveFor(other)).toEqual([]);
});
