import { describe, expect, it } from "vitest";
import { select } from "../../src/core/selection.ts";
import type { Feed, Namespace, Page } from "../../src/core/store.ts";
import {
  FaultyStore,
  ManualClock,
  MemoryStore,
  type Operation,
  storeContract,
} from "../../src/testing/index.ts";

describe("a FaultyStore to which nothing was done keeps the contract", () => {
  storeContract(() => new FaultyStore(new MemoryStore()), { describe, it });
});

const SCALE = { periodMs: 5000, retentionSlots: 120 };
const CONFIG = { version: 1, periodMs: 5000, offset: 0, retentionSlots: 120, base: 0 };
const EVERYTHING = select([{ all: true }]);
const SESSION = { kind: "session", session: { seq: 1, host: "h", pid: 1, opened: 0, slot: 1 } } as const;

/** A namespace through a `FaultyStore`, and the same one directly. */
async function setUp() {
  const clock = new ManualClock();
  const memory = new MemoryStore({ clock });
  const faulty = new FaultyStore(memory);
  const direct = memory.namespace("n");
  await direct.configure(CONFIG);
  return { clock, memory, faulty, ns: faulty.namespace("n", SCALE), direct };
}

async function readAll(ns: Namespace): Promise<Page[]> {
  const pages: Page[] = [];
  for await (const page of ns.read({ select: EVERYTHING })) pages.push(page);
  return pages;
}

/** Every operation of a namespace. */
const operations: Record<Exclude<Operation, "feed">, (ns: Namespace) => Promise<unknown>> = {
  config: (ns) => ns.config(),
  configure: (ns) => ns.configure(CONFIG),
  raiseOffset: (ns) => ns.raiseOffset(0, 1),
  time: (ns) => ns.time(),
  nextSeq: (ns) => ns.nextSeq(),
  write: (ns) => ns.write([SESSION]),
  ping: (ns) => ns.ping(1, 1),
  mail: (ns) => ns.mail(1, [1]),
  countOpen: (ns) => ns.countOpen(1),
  kill: (ns) => ns.kill("key"),
  pings: (ns) => ns.pings(0),
  read: readAll,
  prune: (ns) => ns.prune({ beforeSlot: 0, beforeMs: 0, limit: 1 }),
  drop: (ns) => ns.drop(),
};
const named = Object.entries(operations);

/** Opens a feed and notes what it tells. */
function listen(ns: Namespace): { feed: Feed; pages: Page[]; losses: unknown[] } {
  const pages: Page[] = [];
  const losses: unknown[] = [];
  const feed = ns.feed?.(EVERYTHING, {
    page: (page) => pages.push(page),
    lost: (error) => losses.push(error),
  });
  if (feed === undefined) throw new Error("no feed");
  return { feed, pages, losses };
}

/** How the promise stands once all is settled. */
async function stateOf(promise: Promise<unknown>, clock: ManualClock): Promise<string> {
  let state = "pending";
  promise.then(
    () => (state = "done"),
    () => (state = "failed"),
  );
  await clock.advance(0);
  return state;
}

describe("FaultyStore", () => {
  it("has the kind and the clock of the store that it wraps", async () => {
    const { clock, faulty } = await setUp();
    expect(faulty.kind).toBe("memory");
    expect(faulty.clock).toBe(clock);
  });

  it("has neither feed nor notices where the store has none", () => {
    const plain: Record<string, unknown> = { time: async () => 0 };
    const store = { kind: "x", namespace: () => plain as unknown as Namespace, close: async () => {} };
    const ns: { feed?: unknown; notices?: unknown } = new FaultyStore(store).namespace("n", SCALE);
    expect([ns.feed, ns.notices]).toEqual([undefined, undefined]);
  });

  it.each(named)("fail: %s rejects with STORE_UNAVAILABLE until heal", async (_, operate) => {
    const { faulty, ns } = await setUp();
    faulty.fail();
    await expect(operate(ns)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
    faulty.heal();
    await expect(operate(ns)).resolves.not.toThrow();
  });

  it("fail: what is refused does not happen", async () => {
    const { faulty, ns, direct } = await setUp();
    faulty.fail();
    await expect(ns.ping(5, 1)).rejects.toThrow("told to fail");
    expect(await direct.pings(0)).toEqual([]);
  });

  it("fail: rejects with the given error", async () => {
    const { faulty, ns } = await setUp();
    faulty.fail(new TypeError("mine"));
    await expect(ns.time()).rejects.toThrow(new TypeError("mine"));
  });

  it("fail: open feeds are lost, once, and tell nothing more; feeds opened meanwhile never get ready", async () => {
    const { faulty, ns, direct } = await setUp();
    const open = listen(ns);
    await open.feed.ready;
    const error = new Error("mine");
    faulty.fail(error);
    faulty.fail(error);
    const late = listen(ns);
    await expect(late.feed.ready).rejects.toBe(error);
    faulty.heal();
    await direct.write([SESSION]);
    expect([open.pages, open.losses]).toEqual([[], [error]]);
    expect([late.pages, late.losses]).toEqual([[], []]);
  });

  it.each(named)("pause: %s hangs, undone, until resume", async (_, operate) => {
    const { clock, faulty, ns } = await setUp();
    faulty.pause();
    const operation = operate(ns);
    expect(await stateOf(operation, clock)).toBe("pending");
    faulty.resume();
    expect(await stateOf(operation, clock)).toBe("done");
  });

  it("pause: what hangs has not happened, and happens after resume", async () => {
    const { clock, faulty, ns, direct } = await setUp();
    faulty.pause();
    const ping = ns.ping(5, 1);
    await clock.advance(60_000);
    expect(await direct.pings(0)).toEqual([]);
    faulty.resume();
    await ping;
    expect(await direct.pings(0)).toHaveLength(1);
  });

  it("pause: ended by heal, and by fail with its error", async () => {
    const { clock, faulty, ns } = await setUp();
    faulty.pause();
    const healed = ns.time();
    faulty.heal();
    expect(await stateOf(healed, clock)).toBe("done");
    faulty.pause();
    const failed = ns.time();
    faulty.fail();
    expect(await stateOf(failed, clock)).toBe("failed");
  });

  it("pause: feeds hold reports back, and report them in order after resume", async () => {
    const { faulty, ns, direct } = await setUp();
    const { feed, pages } = listen(ns);
    await feed.ready;
    faulty.pause();
    for (const seq of [1, 2, 3]) await direct.write([{ ...SESSION, session: { ...SESSION.session, seq } }]);
    expect(pages).toEqual([]);
    faulty.resume();
    expect(pages.flatMap(({ sessions }) => sessions.map(({ seq }) => seq))).toEqual([1, 2, 3]);
  });

  it("pause and then fail: what was held is lost with the feed", async () => {
    const { faulty, ns, direct } = await setUp();
    const { feed, pages, losses } = listen(ns);
    await feed.ready;
    faulty.pause();
    await direct.write([SESSION]);
    faulty.fail();
    faulty.heal();
    expect([pages.length, losses.length]).toEqual([0, 1]);
  });

  it.each(named)("delay: %s takes that much longer by the store's clock", async (name, operate) => {
    const { clock, faulty, ns } = await setUp();
    faulty.delay(1000);
    const operation = operate(ns);
    // A read asks once more than it has pages: that there is no other.
    const wholeMs = name === "read" ? 2000 : 1000;
    await clock.advance(wholeMs - 1);
    expect(await stateOf(operation, clock)).toBe("pending");
    await clock.advance(1);
    expect(await stateOf(operation, clock)).toBe("done");
  });

  it("delay: the operation happens in the middle", async () => {
    const { clock, faulty, ns, direct } = await setUp();
    faulty.delay(1000);
    const ping = ns.ping(5, 1);
    await clock.advance(499);
    expect(await direct.pings(0)).toEqual([]);
    await clock.advance(1);
    expect(await direct.pings(0)).toHaveLength(1);
    faulty.heal();
    await clock.advance(500);
    await ping;
  });

  it("delay, and fail after the middle: the operation has happened, though it rejects", async () => {
    const { clock, faulty, ns, direct } = await setUp();
    faulty.delay(1000);
    const ping = ns.ping(5, 1);
    await clock.advance(600);
    faulty.fail();
    const [result] = await Promise.allSettled([ping, clock.advance(400)]);
    expect(result.status).toBe("rejected");
    expect(await direct.pings(0)).toHaveLength(1);
  });

  it("heal ends a delay for the operations to come", async () => {
    const { clock, faulty, ns } = await setUp();
    faulty.delay(1000);
    faulty.heal();
    expect(await stateOf(ns.time(), clock)).toBe("done");
  });

  it("close gets through whatever is wrong, and what hangs stays so without harm", async () => {
    const { clock, faulty, ns } = await setUp();
    const { feed, losses } = listen(ns);
    await feed.ready;
    faulty.pause();
    const hanging = ns.time();
    await ns.close();
    await faulty.close();
    faulty.resume();
    expect(await stateOf(hanging, clock)).toBe("done");
    expect(losses).toEqual([]);
  });

  it("several around one store fail each for itself", async () => {
    const { memory, faulty, ns } = await setUp();
    const other = new FaultyStore(memory).namespace("n", SCALE);
    faulty.fail();
    await expect(ns.time()).rejects.toThrow("told to fail");
    await other.ping(5, 1);
    faulty.heal();
    expect(await ns.pings(0)).toHaveLength(1);
  });

  it("intercept decides about each operation: pass, fail, or fail after it happened", async () => {
    const { faulty, ns, direct } = await setUp();
    const asked: Operation[] = [];
    faulty.intercept((operation) => {
      asked.push(operation);
      if (operation === "time") return "pass";
      return operation === "ping" ? "fail after it happened" : "fail";
    });
    await ns.time();
    await expect(ns.ping(5, 1)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    await expect(ns.write([SESSION])).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(asked).toEqual(["time", "ping", "write"]);
    expect(await direct.pings(0)).toHaveLength(1);
    expect((await readAll(direct))[0]?.sessions).toEqual([]);
    faulty.intercept();
    await ns.write([SESSION]);
  });

  it("a read that fails between its pages rejects, and lets go of what the read holds", async () => {
    const { faulty, ns, direct } = await setUp();
    const registrations = Array.from({ length: 1500 }, (_, pinger) => ({
      kind: "registration" as const,
      registration: { session: 1, pinger, start: 1, key: "k", since: 0, slot: 1, meta: "", revision: 0 },
    }));
    await direct.write([SESSION, ...registrations]);
    const pages = ns.read({ select: EVERYTHING })[Symbol.asyncIterator]();
    expect((await pages.next()).value.registrations.length).toBeGreaterThan(0);
    faulty.fail();
    await expect(pages.next()).rejects.toThrow("told to fail");
    expect(await pages.next()).toMatchObject({ done: true });
  });
});
