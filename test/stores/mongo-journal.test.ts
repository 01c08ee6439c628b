/** What a standalone server has acknowledged survives its being killed. `HEARTBIT_KILLS` says how often it is killed. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { openMongo } from "../../src/stores/mongo/index.ts";
import { aRegistration, aSession, CONFIG, only, put, readAll } from "../../src/testing/contract/world.ts";
import { newDatabase } from "../servers/database.ts";
import { startServer, type TestServer } from "../servers/index.ts";
import { answered } from "../support/wait.ts";

const KILLS = Number(process.env["HEARTBIT_KILLS"] ?? 10);
/** So long after an acknowledgement the server is killed, at most. MongoDB's journal is written every 100 ms by itself. */
const WITHIN_MS = 50;
const SLOT = 1000;

let server: TestServer;
beforeAll(async () => {
  server = await startServer({ standalone: true, durable: true });
});
afterAll(() => server.stop());

it(`nothing acknowledged is lost by kill -9 within ${WITHIN_MS} ms of it, ${KILLS} times`, async () => {
  const uri = newDatabase(server.uri);
  const acknowledged: number[] = [];
  for (let kill = 1; ; kill++) {
    const store = await answered(() => openMongo(uri));
    const namespace = store.namespace("presence", CONFIG);
    await namespace.configure(CONFIG);
    const { registrations } = await readAll(namespace, { select: only("key") });
    const stored = Array.from(registrations.values(), ({ pinger }) => pinger);
    expect(stored.toSorted((a, b) => a - b)).toEqual(acknowledged);
    if (kill > KILLS) return store.close();
    const start = aRegistration(1, "key", SLOT, { pinger: kill });
    await namespace.write([put.session(aSession(1, SLOT)), put.registration(start)]);
    acknowledged.push(kill);
    await new Promise((resolve) => setTimeout(resolve, (kill * 7) % WITHIN_MS));
    await server.kill9();
    await namespace.close();
    await store.close();
    await server.restart();
  }
});
