import { expect, inject, it } from "vitest";
import type { Change, Presence, PresenceOptions } from "../src/index.ts";
import { newDatabase } from "./servers/database.ts";
import { databaseOf, withDatabase } from "./servers/uri.ts";
import { startWireProxy, type WireProxy } from "./servers/wire-proxy.ts";
import { answered, opened, passes, until } from "./support/wait.ts";

/** So many pings are a measurement. */
const PINGS = 6;

interface Measured {
  readonly names: readonly string[];
  readonly connections: number;
}

/**
 * What one process sends to the server in so many periods, and how many connections it has then. What it sends because
 * a busy machine was slow for the period is no measurement: it begins again with a longer one.
 */
async function measure(watches: boolean): Promise<Measured> {
  for (let periodMs = 2000; ; periodMs *= 2) {
    const measured = await tryToMeasure(watches, periodMs);
    if (measured !== undefined) return measured;
  }
}

async function tryToMeasure(watches: boolean, periodMs: number): Promise<Measured | undefined> {
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
  pinged.clear();
  await until(() => pinged.size === 1);
  names.length = 0;
  await until(() => pinged.size === 1 + PINGS || isDisturbed);
  const measured = { connections: proxy.connections, names: [...names] };
  await presence.close();
  await proxy.stop();
  return isDisturbed ? undefined : measured;
}

/** The command's name is its first field. */
function nameOf(message: Buffer): string {
  const begin = message.readInt32LE(12) === 2013 ? 26 : message.indexOf(0, 20) + 14;
  return message.toString("latin1", begin, message.indexOf(0, begin));
}

it.concurrent("a process that holds keys sends some one command a period, over two connections; one that watches, over three", async () => {
  const [holds, watches] = await Promise.all([measure(false), measure(true)]);
  const commands = holds.names.filter((name) => !/^(hello|ismaster)$/i.test(name));
  expect(commands.length / PINGS, holds.names.join(" ")).toBeLessThanOrEqual(1.4); // and one count in four
  expect(holds.names.length / PINGS, holds.names.join(" ")).toBeLessThanOrEqual(2);
  expect(holds.connections).toBeLessThanOrEqual(2);
  // The stand-in answers a waiting stream after each write of anybody: MongoDB only after 20 s, or a change.
  const sent = watches.names.filter((name) => name !== "getMore");
  expect(sent.length / PINGS, watches.names.join(" ")).toBeLessThanOrEqual(3.5);
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

it.concurrent("routers whose clocks differ by hours mislead nobody about the slot, and about live and crashed keys", async () => {
  const routers = await Promise.all([0, 7_200_000, -7_200_000].map(startRouter));
  const database = databaseOf(newDatabase());
  // Long: a busy machine holds no ping up for so long that a lease ends.
  const options: PresenceOptions = { periodMs: 2000 };
  const trouble: string[] = [];
  const open = async (router: WireProxy): Promise<Presence> => {
    const presence = await opened(withDatabase(router.uri, database), options);
    presence.on("lapse", () => trouble.push("lapse"));
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
  const crashing = await opened(withDatabase(cut.uri, database), options);
  await crashing.pinger("crashing").start();
  await until(() => heard.every((changes) => changes.some(({ key }) => key === "crashing")));
  await passes(3 * 2000);
  await cut.stop();
  await until(() => heard.every((changes) => changes.some(({ key, alive }) => key === "crashing" && !alive)));
  const dead = heard.flat().filter(({ alive }) => !alive);
  expect(new Set(dead.map(({ key }) => key))).toEqual(new Set(["crashing"]));
  expect(trouble).toEqual([]);
  const lists = await Promise.all(
    presences.map((presence) => answered(() => presence.list({ prefix: "key/" }))),
  );
  for (const { keys, confirmed } of lists) {
    expect(confirmed).toBe(true);
    expect(keys.map(({ key, alive }) => [key, alive])).toEqual(
      [0, 1, 2].map((index) => [`key/${index}`, true]),
    );
  }
  expect(dead.map(({ cause }) => cause)).toEqual(["expired", "expired", "expired"]);
  for (const presence of [...presences, crashing]) await presence.close();
  for (const router of routers) await router.stop();
});
