/** What loggers are called with. */
import { expect, it } from "vitest";
import { makeLog, RecurringFailure } from "../../src/lib/log.ts";

const failure = new Error("no route");

it("the line ends with the error's text, and the error follows for its stack", () => {
  const calls: unknown[][] = [];
  const log = makeLog("workers", { warn: (...args) => void calls.push(args) });
  log.warn("a read failed", failure);
  log.warn("stale");
  expect(calls).toEqual([
    ["heartbit workers: a read failed: no route", failure],
    ["heartbit workers: stale"],
  ]);
});

it("pino gets the error first, since it drops what follows a text", () => {
  const calls: unknown[][] = [];
  const pino = { setBindings: () => {}, error: (...args: unknown[]) => void calls.push(args) };
  makeLog("workers", pino).error("a read failed", failure);
  expect(calls).toEqual([[{ err: failure }, "heartbit workers: a read failed: no route"]]);
});

it("a failure that recurs is a warning once, and once more when it is another", () => {
  const warnings: string[] = [];
  const log = makeLog("workers", { warn: (line) => void warnings.push(line) });
  const recurring = new RecurringFailure(log, "pruning failed");
  for (const text of ["a", "a", "a", "b", "b"]) recurring.note(new Error(text));
  expect(warnings).toEqual(["heartbit workers: pruning failed: a", "heartbit workers: pruning failed: b"]);
});
