/** Listeners and loggers: what is a caller's hurts nobody. */
import { expect, it, vi } from "vitest";
import { Emitter } from "../../src/lib/emitter.ts";
import { makeLog } from "../../src/lib/log.ts";
import { Bench } from "./support.ts";

function emitter(): Emitter<{ event: [] }> {
  return new Emitter<{ event: [] }>((error) => expect.fail(String(error)));
}

it("of a listener that was added for once and for good, it is the one for once that goes", () => {
  const events = emitter();
  const listener = vi.fn();
  events.on("event", listener, true);
  events.on("event", listener);
  events.emit("event");
  expect(listener).toHaveBeenCalledTimes(2);
  events.emit("event");
  events.emit("event");
  expect(listener).toHaveBeenCalledTimes(4);
});

it("a listener for once is called once, though another emits the same meanwhile", () => {
  const events = emitter();
  const once = vi.fn();
  events.on("event", () => events.emit("event"), true);
  events.on("event", once, true);
  events.emit("event");
  expect(once).toHaveBeenCalledTimes(1);
});

it("a logger that throws or rejects hurts nobody, and keeps its `this`", async () => {
  const unhandled: unknown[] = [];
  const onUnhandled = (error: unknown): unknown => unhandled.push(error);
  process.on("unhandledRejection", onUnhandled);
  const logger = {
    lines: [] as string[],
    info(line: string): void {
      this.lines.push(line);
      throw new Error("full");
    },
    async warn(line: string): Promise<void> {
      this.lines.push(line);
      throw new Error("full");
    },
  };
  const log = makeLog("agents", logger);
  log.info("a");
  log.warn("b");
  await new Bench().clock.advance(0); // turns of the event loop, in which a rejection would be noticed
  process.off("unhandledRejection", onUnhandled);
  expect(logger.lines).toEqual(["heartbit agents: a", "heartbit agents: b"]);
  expect(unhandled).toEqual([]);
});

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
