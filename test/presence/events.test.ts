/** Listeners and loggers: what is a caller's hurts nobody. */
import { expect, it, vi } from "vitest";
import { Emitter } from "../../src/lib/emitter.ts";
import { makeLog } from "../../src/lib/log.ts";
import { Bench } from "./support.ts";

const emitter = (): Emitter<{ event: [] }> => new Emitter((error) => expect.fail(String(error)));

it("of a listener that was added for once and for good, it is the one for once that goes", () => {
  const events = emitter();
  const listener = vi.fn();
  events.on("event", listener, true);
  events.on("event", listener);
  for (const calls of [2, 3, 4]) {
    events.emit("event");
    expect(listener).toHaveBeenCalledTimes(calls);
  }
});

it("a listener for once is called once, though another emits the same meanwhile", () => {
  const events = emitter();
  const once = vi.fn();
  events.on("event", () => events.emit("event"), true);
  events.on("event", once, true);
  events.emit("event");
  expect(once).toHaveBeenCalledTimes(1);
});

it("a listener that another one removes is not called any more, not even by the event under way", () => {
  const events = emitter();
  const removed = vi.fn();
  events.on("event", () => events.off("event", removed));
  events.on("event", removed);
  events.emit("event");
  expect(removed).not.toHaveBeenCalled();
});

it("a logger that throws or rejects hurts nobody, and keeps its `this`", async () => {
  const unhandled = vi.fn();
  process.on("unhandledRejection", unhandled);
  const logger = {
    lines: [] as string[],
    info(line: string): void {
      this.lines.push(line);
      throw new Error("full");
    },
    async warn(line: string): Promise<void> {
      this.info(line);
    },
  };
  const log = makeLog("agents", logger);
  log.info("a");
  log.warn("b");
  await new Bench().clock.advance(0); // turns of the event loop, in which a rejection would be noticed
  process.off("unhandledRejection", unhandled);
  expect(logger.lines).toEqual(["heartbit agents: a", "heartbit agents: b"]);
  expect(unhandled).not.toHaveBeenCalled();
});

it("the line ends with the error's text, and the error follows for its stack; pino gets it first, since it drops the rest", () => {
  const failure = new Error("no route");
  const line = "heartbit workers: a read failed: no route";
  const warn = vi.fn();
  const log = makeLog("workers", { warn });
  log.warn("a read failed", failure);
  log.warn("stale");
  expect(warn.mock.calls).toEqual([[line, failure], ["heartbit workers: stale"]]);
  const error = vi.fn();
  const pino = { setBindings: () => {}, error };
  makeLog("workers", pino).error("a read failed", failure);
  expect(error.mock.calls).toEqual([[{ err: failure }, line]]);
});
