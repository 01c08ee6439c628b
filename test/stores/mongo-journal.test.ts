/**
 * What a standalone server has acknowledged survives its being killed. `HEARTBIT_KILLS` says how often it is killed.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { select } from "../../src/core/selection.ts";
import type { Write } from "../../src/core/store.ts";
import { openMongo } from "../../src/stores/mongo/index.ts";
import { newDatabase } from "../servers/database.ts";
import { startServer, type TestServer } from "../servers/index.ts";
import { answered } from "../support/wait.ts";

const KILLS = Number(process.env["HEARTBIT_KILLS"] ?? 10);
/** So long after an acknowledgement the server is killed, at most. MongoDB's journal is written every 100 ms by itself. */
const WITHIN_MS = 50;
/** Long: the time limits of calls follow it, and are not what is tested here. */
const SCALE = { periodMs: 60_000, retentionSlots: 120 };
const SLOT = 1000;

let server: TestServer;
beforeAll(async () => {
  server = await startServer({ standalone: true, durable: true });
});
afterAll(() => server.stop());

const session: Write = { kind: "session", session: { seq: 1, host: "here", pid: 1, opened: 1, slot: SLOT } };
const start = (pinger: number): Write => ({
  kind: "registration",
  registration: { session: 1, pinger, start: 1, key: "key", since: 1, slot: SLOT, meta: "null", revision: 0 },
});

it(`nothing acknowledged is lost by kill -9 within ${WITHIN_MS} ms of it, ${KILLS} times`, async () => {
  const uri = newDatabase(server.uri);
  const acknowledged: number[] = [];
  for (let kill = 1; ; kill++) {
    const store = await answered(() => openMongo(uri));
    const namespace = store.namespace("presence", SCALE);
    await namespace.configure({
      version: 2,
      periodMs: SCALE.periodMs,
      offset: 0,
      retentionSlots: 120,
      base: 0,
    });
    const stored = new Set<number>();
    for await (const { registrations } of namespace.read({ select: select(["key"]) }))
      for (const { pinger } of registrations) stored.add(pinger);
    expect(acknowledged.filter((pinger) => !stored.has(pinger))).toEqual([]);
    if (kill > KILLS) {
      await store.close();
      break;
    }
    await namespace.write([session, start(kill)]);
    acknowledged.push(kill);
    await new Promise((resolve) => setTimeout(resolve, (kill * 7) % WITHIN_MS));
    await server.kill9();
    await namespace.close();
    await store.close();
    await server.restart();
  }
});
