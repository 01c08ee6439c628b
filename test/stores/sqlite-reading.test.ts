import { expect, it, onTestFinished, vi } from "vitest";
import { loadDriver } from "../../src/stores/sqlite/driver.ts";
import { SCHEMA } from "../../src/stores/sqlite/schema.ts";
import { Sql } from "../../src/stores/sqlite/sql.ts";
import {
  aRegistration,
  aSession,
  CONFIG,
  everything,
  only,
  put,
  readAll,
} from "../../src/testing/contract/world.ts";
import { newFolder, openIn } from "./support.ts";

/** More than two pages. */
const KEYS = 2500;

/** How SQLite finds the rows of each statement. */
function plansOf(statements: ReadonlySet<string>): string[] {
  const connection = loadDriver()(":memory:");
  connection.exec(SCHEMA);
  const plans = Array.from(statements, (sql) => connection.prepare(`EXPLAIN QUERY PLAN ${sql}`).all());
  connection.close();
  return plans.map((rows) => (rows as { detail: string }[]).map(({ detail }) => detail).join("; "));
}

it("each page begins where the one before ended, whatever is read, and the event loop turns between them", async () => {
  const namespace = (await openIn(newFolder())).namespace("n");
  await namespace.configure(CONFIG);
  const { cursor } = await readAll(namespace, { select: everything() });
  const keys = Array.from({ length: KEYS }, (_, pinger) =>
    aRegistration(1, `user/${pinger}`, 10, { pinger }),
  );
  await namespace.write([put.session(aSession(1, 10)), ...keys.map(put.registration)]);

  const json = vi.spyOn(Sql.prototype, "json");
  onTestFinished(() => json.mockRestore());
  let turns = 0;
  const turn = (): void => void (turns++, setImmediate(turn).unref());
  setImmediate(turn).unref();
  for (const query of [
    { select: everything() },
    { select: everything(), since: cursor },
    { select: only({ prefix: "user/" }) },
    { session: 1 },
  ])
    expect((await readAll(namespace, query)).registrations.size).toBe(KEYS);
  expect(turns).toBeGreaterThanOrEqual(4 * 2);
  const later = new Set(json.mock.calls.map(([sql]) => sql).filter((sql) => sql.includes("start) > (")));
  const plans = plansOf(later);
  expect(plans).toHaveLength(4); // all, changes, a prefix, those of a session
  for (const plan of plans) expect(plan).toMatch(/SEARCH records USING .*\(ns=\? AND \([a-z,]+\)>\(/);
});

it("open records are counted some at a time, by its index, with several starts of a pinger", async () => {
  const namespace = (await openIn(newFolder())).namespace("n");
  await namespace.configure(CONFIG);
  const starts = Array.from({ length: 12_000 }, (_, at) =>
    aRegistration(1, "key", 10, { pinger: at >> 1, start: 1 + (at % 2) }),
  );
  await namespace.write([
    { kind: "session", session: aSession(1, 10) },
    ...starts.map((registration) => ({ kind: "registration", registration }) as const),
  ]);
  const get = vi.spyOn(Sql.prototype, "get");
  onTestFinished(() => get.mockRestore());
  expect((await namespace.countOpen(1)).count).toBe(1 + starts.length);
  const counts = get.mock.calls.map(([sql]) => sql).filter((sql) => sql.includes("start) > ("));
  expect(counts).toHaveLength(4); // two that are full, and of the last one that it is not, and its number
  for (const plan of plansOf(new Set(counts)))
    expect(plan).toMatch(
      /SEARCH records USING INDEX record_open \(ns=\? AND session=\? AND \(pinger,start\)>/,
    );
});
