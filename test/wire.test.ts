import { expect, inject, it } from "vitest";
import { type Change, Presence, type PresenceOptions } from "../src/index.ts";
import { newDatabase } from "./servers/database.ts";
import { databaseOf, withDatabase } from "./servers/uri.ts";
import { startWireProxy, type WireProxy } from "./servers/wire-proxy.ts";
import { passes, until } from "./support/wait.ts";

/** So many pings are a measurement. */
const PINGS = 6;

/** What one process sends to the server from here on, and how many connections it has, on average a ping. */
async function measure(watches: boolean): Promise<{ perPing: number; connections: number; names: string[] }> {
  const names: string[] = [];
  let pings = 0;
  const proxy = await startWireProxy(inject("mongodbUri"), {
    sent: (message) => {
      const name = nameOf(message);
      names.push(name);
      if (name === "findAndModify" && message.includes(".pings")) pings++;
    },
  });
  const uri = withDatabase(proxy.uri, databaseOf(newDatabase()));
  const presence = await Presence.open(uri, { periodMs: 5000 });
  await presence.pinger("key").start();
  if (watches) {
    const watcher = presence.watcher();
    watcher.watch({ all: true }, () => {});
    await watcher.sync();
  }
  pings = 0;
  await until(() => pings === 1);
  names.length = 0;
  await until(() => pings === 1 + PINGS);
  const measured = { perPing: names.length / PINGS, connections: proxy.connections, names: [...names] };
  await presence.close();
  await proxy.stop();
  return measured;
}

/** The command's name is its first field. */
function nameOf(message: Buffer): string {
  const begin = message.readInt32LE(12) === 2013 ? 26 : message.indexOf(0, 20) + 14;
  return message.toString("latin1", begin, message.indexOf(0, begin));
}

it("a process that holds keys sends some one command a period, over two connections; one that watches, over three", async () => {
  const [holds, watches] = await Promise.all([measure(false), measure(true)]);
  const commands = holds.names.filter((name) => !/^(hello|ismaster)$/i.test(name));
  expect(commands.length / PINGS, holds.names.join(" ")).toBeLessThanOrEqual(1.4); // 1.29 on average: see counts.test.ts
  expect(holds.perPing, holds.names.join(" ")).toBeLessThanOrEqual(2);
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

it("routers whose clocks differ by hours mislead nobody about the slot, and about live and crashed keys", async () => {
  const routers = await Promise.all([0, 7_200_000, -7_200_000].map(startRouter));
  const database = databaseOf(newDatabase());
  const options: PresenceOptions = { periodMs: 500 };
  const trouble: string[] = [];
  const open = async (router: WireProxy): Promise<Presence> => {
    const presence = await Presence.open(withDatabase(router.uri, database), options);
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
  const crashing = await Presence.open(withDatabase(cut.uri, database), options);
  await crashing.pinger("crashing").start();
  await until(() => heard.every((changes) => changes.some(({ key }) => key === "crashing")));
  await passes(3 * 500);
  await cut.stop();
  await until(() => heard.every((changes) => changes.some(({ key, alive }) => key === "crashing" && !alive)));
  const dead = heard.flat().filter(({ alive }) => !alive);
  expect(new Set(dead.map(({ key }) => key))).toEqual(new Set(["crashing"]));
  expect(trouble).toEqual([]);
  const lists = await Promise.all(presences.map((presence) => presence.list({ prefix: "key/" })));
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
