/** What the tests of the stores share. Records come from the contract: `src/testing/contract/world.ts`. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Document, MongoClient, type MongoClientOptions } from "mongodb";
import { expect, onTestFinished } from "vitest";
import { forEachSession } from "../../src/core/bits.ts";
import { HeartbitError } from "../../src/core/errors.ts";
import type { Selection } from "../../src/core/selection.ts";
import type { Feed, Namespace, Page } from "../../src/core/store.ts";
import { openSqlite, type SqliteStore } from "../../src/stores/sqlite/index.ts";
import { newDatabase } from "../servers/database.ts";
import { type FakeServer, startFakeServer } from "../servers/fake-server.ts";
import { type Proxy, type ProxyOptions, startProxy } from "../servers/proxy.ts";

/** A slot for the long period of the contract's `CONFIG`: time limits follow the period, and are not tested. */
export const SLOT = 360_000_000;

/** A folder that is removed at the end of the test. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "heartbit-stores-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A store in the folder. It is closed at the end of the test. */
export async function openIn(
  folder: string,
  options: Parameters<typeof openSqlite>[1] = {},
): Promise<SqliteStore> {
  const store = await openSqlite(folder, options);
  onTestFinished(() => store.close());
  return store;
}

/** A client of a new database, or of the given server. It is closed at the end of the test. */
export function newClient(options: MongoClientOptions = {}, uri = newDatabase()): MongoClient {
  const client = new MongoClient(uri, options);
  onTestFinished(() => client.close());
  return client;
}

/** A proxy before a new database, or before the given server. It is stopped at the end of the test. */
export async function newProxy(options: Omit<ProxyOptions, "uri">, uri = newDatabase()): Promise<Proxy> {
  const proxy = await startProxy({ uri, ...options });
  onTestFinished(() => proxy.stop());
  return proxy;
}

/** The numbers of the sessions that pinged from the slot on, in order. */
export async function pinged(namespace: Namespace, from = 0): Promise<number[]> {
  const seqs: number[] = [];
  for (const record of await namespace.pings(from)) forEachSession(record, (seq) => seqs.push(seq));
  return seqs.toSorted((a, b) => a - b);
}

/** An open feed, and what it reports. */
export class Heard {
  readonly feed: Feed;
  readonly pages: Page[] = [];
  readonly lost: unknown[] = [];

  constructor(namespace: Namespace, selection: Selection) {
    const sink = {
      page: (page: Page) => void this.pages.push(page),
      lost: (error: unknown) => void this.lost.push(error),
    };
    this.feed = namespace.feed?.(selection, sink) ?? expect.fail("there is no feed");
  }

  get keys(): string[] {
    return this.pages.flatMap(({ registrations }) => registrations.map(({ key }) => key));
  }

  get sessions(): number[] {
    return this.pages.flatMap(({ sessions }) => sessions.map(({ seq }) => seq));
  }
}

/** The error that the promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<HeartbitError> {
  const error = await promise.then(
    () => expect.fail("it resolved"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(HeartbitError);
  return error as HeartbitError;
}

const HELLO = { ok: 1, ismaster: true, isWritablePrimary: true, minWireVersion: 0, maxWireVersion: 21 };

/** A server that answers as told, and greets where it is told nothing. It is stopped at the end of the test. */
export async function fakeServer(
  answer: (name: string, command: Document, address: string) => Document | undefined,
): Promise<FakeServer> {
  const server = await startFakeServer((command, address) => {
    const told = answer(Object.keys(command)[0] ?? "", command, address);
    return { ...HELLO, localTime: new Date(), ...told };
  });
  onTestFinished(() => server.stop());
  return server;
}
