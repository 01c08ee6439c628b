import { expect, inject, it } from "vitest";
import type { Change, Presence } from "../src/index.ts";
import { newDatabase } from "./servers/database.ts";
import { databaseOf, withDatabase } from "./servers/uri.ts";
import { startWireProxy, type WireProxy } from "./servers/wire-proxy.ts";
import { answered, opened, passes, until } from "./support/wait.ts";

/** So many pings are a measurement. */
const PINGS = 6;

/** What a busy machine disturbs counts with this period in any case; before, it begins again with a longer one. */
const PERIOD_MS_MAX = 16_000;

const HELLO = /^(hello|ismaster)$/i;

interface Measured {
  readonly periodMs: number;
  readonly names: readonly string[];
  readonly connections: number;
}

/**
 * What one process sends to the server in so many periods, and how many connections it has then. What it sends because
 * a busy machine was slow for the period is no measurement: it begins again with a longer one.
 */
async function measure(watches: boolean, connectionsMax: number): Promise<Measured> {
  for (let periodMs = 2000; ; periodMs *= 2) {
    const { isDisturbed, ...measured } = await tryToMeasure(watches, periodMs);
    const isUsual = !isDisturbed && measured.connections <= connectionsMax;
    if (isUsual || periodMs >= PERIOD_MS_MAX) return measured;
  }
}

async function tryToMeasure(
  watches: boolean,
  periodMs: number,
): Promise<Measured & { isDisturbed: boolean }> {
  const names: string[] = [];
  const pinged = new Set<string | undefined>();
  let isDisturbed = false;
  const proxy = await startWireProxy(inject("mongodbUri"), {
    sent: (message) => {
      const name = nameOf(message);
      names.push(name);
      if (name !== "findAndModify" || !message.includes(".pings")) return;
      const { 0: slot } = /\d+\.\d+(?=\0)/.exec(message.toString("latin1")) ?? [];
      isDisturbed ||= slot === undefined || pinged.has(slot); // sent once more, since it was not answered soon
      pinged.add(slot);
    },
  });
  const presence = await opened(withDatabase(proxy.uri, databaseOf(newDatabase())), { periodMs });
  await presence.pinger("key").start();
  if (watches) {
    const watcher = presence.watcher();
    watcher.watch({ all: true }, () => {});
    await answered(() => watcher.sync());
  }
  await until(() => presence.health.state === "healthy");
  presence.on("health", () => (isDisturbed = true));
  const before = pinged.size;
  await until(() => pinged.size > before);
  names.length = 0;
  await until(() => pinged.size > before + PINGS || isDisturbed);
  const measured = { periodMs, connections: proxy.connections, names: [...names] };
  await presence.close();
  await proxy.stop();
  return { ...measured, isDisturbed };
}

/** The command's name is its first field. */
function nameOf(message: Buffer): string {
  const begin = message.readInt32LE(12) === 2013 ? 26 : message.indexOf(0, 20) + 14;
  return message.toString("latin1", begin, message.indexOf(0, begin));
}

it.concurrent("a process that holds keys sends some one command a period, over two connections; one that watches, over three", async () => {
  const [holds, watches] = await Promise.all([measure(false, 2), measure(true, 3)]);
  for (const { names, periodMs } of [holds, watches]) {
    // The driver looks after the server every 10 s, and greets it on each new connection.
    const hellos = names.filter((name) => HELLO.test(name)).length;
    expect(hellos, names.join(" ")).toBeLessThanOrEqual(3 + (2 * PINGS * periodMs) / 10_000);
  }
  const commands = holds.names.filter((name) => !HELLO.test(name));
  expect(commands.length / PINGS, commands.join(" ")).toBeLessThanOrEqual(1.4); // 1.29 on average: see counts.test.ts
  expect(holds.connections).toBeLessThanOrEqual(2);
  // The stand-in answers a waiting stream after each write of anybody: MongoDB only after 20 s, or a change.
  const sent = watches.names.filter((name) => name !== "getMore" && !HELLO.test(name));
  expect(sent.length / PINGS, sent.join(" ")).toBeLessThanOrEqual(3.2);
  expect(watches.connections).toBeLessThanOrEqual(3);
});

/** A router whose clock is so many ms ahead, as far as its `hello` says. */
function startRouter(aheadMs: number): Promise<WireProxy> {
  const field = Buffer.from("\tlocalTime\0", "latin1");
  return startWireProxy(inject("mongodbUri"), {
    received: (message) => {
      const at = message.indexOf(field);
      if (at < 0) return message;
      const changed = Buffer.from(message);
      const value = at + field.length;
      changed.writeBigInt64LE(changed.readBigInt64LE(value) + BigInt(aheadMs), value);
      return changed;
    },
  });
}

/** What presences behind three routers, and one behind a fourth that crashes, are told; and who of them lapsed. */
async function watchThroughRouters(periodMs: number) {
  const routers = await Promise.all([0, 7_200_000, -7_200_000].map(startRouter));
  const database = databaseOf(newDatabase());
  let lapses = 0;
  const open = async (router: WireProxy): Promise<Presence> => {
    const presence = await opened(withDatabase(router.uri, database), { periodMs });
    presence.on("lapse", () => lapses++);
    return presence;
  };
  const presences: Presence[] = [];
  const heard: Change[][] = [];
  for (const router of routers) presences.push(await open(router));
  for (const [index, presence] of presences.entries()) {
    const changes: Change[] = [];
    heard.push(changes);
    await presence.pinger(`key/${index}`).start();
    presence.watcher().watch({ all: true }, (change) => void changes.push(change));
  }
  const cut = await startRouter(7_200_000);
  const crashing = await opened(withDatabase(cut.uri, database), { periodMs });
  await crashing.pinger("crashing").start();
  await until(() => heard.every((changes) => changes.some(({ key }) => key === "crashing")));
  await passes(3 * periodMs);
  await cut.stop();
  await until(() => heard.every((changes) => changes.some(({ key, alive }) => key === "crashing" && !alive)));
  const dead = heard.flat().filter(({ alive }) => !alive);
  const lists = await Promise.all(
    presences.map((presence) => answered(() => presence.list({ prefix: "key/" }))),
  );
  const hasLapsed = lapses > 0;
  for (const presence of [...presences, crashing]) await presence.close();
  for (const router of routers) await router.stop();
  return { dead, lists, hasLapsed };
}

it.concurrent("routers whose clocks differ by hours mislead nobody about the slot, and about live and crashed keys", async () => {
  let periodMs = 500;
  let watched = await watchThroughRouters(periodMs);
  while (watched.hasLapsed && periodMs < PERIOD_MS_MAX) watched = await watchThroughRouters((periodMs *= 2));
  const { dead, lists, hasLapsed } = watched;
  expect(hasLapsed).toBe(false);
  expect(dead.map(({ key, cause }) => `${key} ${cause}`)).toEqual(Array(3).fill("crashing expired"));
  for (const { keys, confirmed } of lists) {
    expect(confirmed).toBe(true);
    expect(keys.map(({ key, alive }) => [key, alive])).toEqual(
      [0, 1, 2].map((index) => [`key/${index}`, true]),
    );
  }
});
