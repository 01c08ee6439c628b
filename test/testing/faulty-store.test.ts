import { beforeEach, describe, expect, it } from "vitest";
import type { Namespace } from "../../src/core/store.ts";
import {
  aRegistration,
  aSession,
  CONFIG,
  everything,
  put,
  readAll,
} from "../../src/testing/contract/world.ts";
import { FaultyStore, ManualClock, MemoryStore, storeContract } from "../../src/testing/index.ts";
import type { Operation } from "../../src/testing/index.ts";
import { Heard } from "../stores/support.ts";

describe("a FaultyStore to which nothing was done keeps the contract", () => {
  storeContract(() => new FaultyStore(new MemoryStore()), { describe, it });
});

const session = (seq: number) => put.session(aSession(seq, 1));

let clock: ManualClock;
let memory: MemoryStore;
let faulty: FaultyStore;
/** A namespace of the faulty store, and the same one of the store in it. */
let ns: Namespace;
let direct: Namespace;
beforeEach(async () => {
  clock = new ManualClock();
  memory = new MemoryStore({ clock });
  faulty = new FaultyStore(memory);
  direct = memory.namespace("n");
  await direct.configure(CONFIG);
  ns = faulty.namespace("n", CONFIG);
});

const operations: Record<Exclude<Operation, "feed">, () => Promise<unknown>> = {
  config: () => ns.config(),
  configure: () => ns.configure(CONFIG),
  raiseOffset: () => ns.raiseOffset(0, 1),
  time: () => ns.time(),
  nextSeq: () => ns.nextSeq(),
  write: () => ns.write([session(1)]),
  ping: () => ns.ping(1, 1),
  mail: () => ns.mail(1, [1]),
  countOpen: () => ns.countOpen(1),
  kill: () => ns.kill("key"),
  pings: () => ns.pings(0),
  read: () => readAll(ns, {}),
  prune: () => ns.prune({ beforeSlot: 0, beforeMs: 0, limit: 1 }),
  drop: () => ns.drop(),
};

/** How the promise stands once all is settled. */
async function stateOf(promise: Promise<unknown>): Promise<string> {
  let state = "pending";
  promise.then(
    () => (state = "done"),
    () => (state = "failed"),
  );
  await clock.advance(0);
  return state;
}

/** How many slots have pings. */
const pinged = async (): Promise<number> => (await direct.pings(0)).length;

async function listen(): Promise<Heard> {
  const heard = new Heard(ns, everything());
  await heard.feed.ready;
  return heard;
}

describe("FaultyStore", () => {
  it("has the kind and the clock of the store that it wraps, and neither feed nor notices where that has none", () => {
    expect([faulty.kind, faulty.clock]).toEqual(["memory", clock]);
    const plain = { time: async () => 0 } as unknown as Namespace;
    const store = { kind: "x", namespace: () => plain, close: async () => {} };
    const none = { feed: undefined, notices: undefined };
    expect(new FaultyStore(store).namespace("n", CONFIG)).toMatchObject(none);
  });

  it.each(Object.entries(operations))(
    "%s rejects from fail to heal, hangs from pause to resume, and takes as much longer as delay says",
    async (name, operate) => {
      faulty.fail();
      await expect(operate()).rejects.toMatchObject({ code: "STORE_UNAVAILABLE", retryable: true });
      faulty.heal();
      await operate();
      await direct.configure(CONFIG);
      faulty.pause();
      const hanging = operate();
      expect(await stateOf(hanging)).toBe("pending");
      faulty.resume();
      expect(await stateOf(hanging)).toBe("done");
      await direct.configure(CONFIG);
      faulty.delay(1000);
      const slow = operate();
      // A read asks once more than it has pages: that there is no other.
      await clock.advance(name === "read" ? 1999 : 999); // by the store's clock
      expect(await stateOf(slow)).toBe("pending");
      await clock.advance(1);
      expect(await stateOf(slow)).toBe("done");
    },
  );

  it("fail: rejects with the given error, and what is refused does not happen", async () => {
    faulty.fail(new TypeError("mine"));
    await expect(ns.ping(5, 1)).rejects.toThrow(new TypeError("mine"));
    expect(await pinged()).toBe(0);
  });

  it("fail: open feeds are lost, once, and tell nothing more; feeds opened meanwhile never get ready", async () => {
    const open = await listen();
    const error = new Error("mine");
    faulty.fail(error);
    faulty.fail(error);
    const late = new Heard(ns, everything());
    await expect(late.feed.ready).rejects.toBe(error);
    faulty.heal();
    await direct.write([session(1)]);
    expect([open.pages, open.lost, late.pages, late.lost]).toEqual([[], [error], [], []]);
  });

  it("pause: what hangs has not happened, and happens after resume", async () => {
    faulty.pause();
    const ping = ns.ping(5, 1);
    await clock.advance(60_000);
    expect(await pinged()).toBe(0);
    faulty.resume();
    await ping;
    expect(await pinged()).toBe(1);
  });

  it("pause: ended by heal, and by fail with its error; heal also ends a delay for the operations to come", async () => {
    faulty.pause();
    const healed = ns.time();
    faulty.heal();
    expect(await stateOf(healed)).toBe("done");
    faulty.pause();
    const failed = ns.time();
    faulty.fail();
    expect(await stateOf(failed)).toBe("failed");
    faulty.delay(1000);
    faulty.heal();
    expect(await stateOf(ns.time())).toBe("done");
  });

  it("pause: feeds hold reports back, and report them in order after resume; with fail they are lost", async () => {
    const heard = await listen();
    faulty.pause();
    for (const seq of [1, 2, 3]) await direct.write([session(seq)]);
    expect(heard.pages).toEqual([]);
    faulty.resume();
    expect(heard.sessions).toEqual([1, 2, 3]);
    faulty.pause();
    await direct.write([session(4)]);
    faulty.fail();
    faulty.heal();
    expect([heard.sessions.length, heard.lost.length]).toEqual([3, 1]);
  });

  it("delay: the operation happens in the middle, and so it has happened though it fails after that", async () => {
    faulty.delay(1000);
    const ping = ns.ping(5, 1);
    await clock.advance(499);
    expect(await pinged()).toBe(0);
    await clock.advance(1);
    expect(await pinged()).toBe(1);
    faulty.fail();
    await Promise.all([expect(ping).rejects.toThrow("told to fail"), clock.advance(500)]);
  });

  it("close gets through whatever is wrong, and what hangs stays so without harm", async () => {
    const { lost } = await listen();
    faulty.pause();
    const hanging = ns.time();
    await ns.close();
    await faulty.close();
    faulty.resume();
    expect([await stateOf(hanging), lost]).toEqual(["done", []]);
  });

  it("several around one store fail each for itself", async () => {
    const other = new FaultyStore(memory).namespace("n", CONFIG);
    faulty.fail();
    await expect(ns.time()).rejects.toThrow("told to fail");
    await other.ping(5, 1);
    expect(await pinged()).toBe(1);
  });

  it("intercept decides about each operation: pass, fail, or fail after it happened", async () => {
    const asked: Operation[] = [];
    faulty.intercept((operation) => {
      asked.push(operation);
      if (operation === "time") return "pass";
      return operation === "ping" ? "fail after it happened" : "fail";
    });
    await ns.time();
    for (const refused of [() => ns.ping(5, 1), () => ns.write([session(1)])])
      await expect(refused()).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(asked).toEqual(["time", "ping", "write"]);
    expect([await pinged(), (await readAll(direct, { session: 1 })).sessions.size]).toEqual([1, 0]);
    faulty.intercept();
    await ns.write([session(1)]);
  });

  it("a read that fails between its pages rejects, and lets go of what the read holds", async () => {
    const registrations = Array.from({ length: 1500 }, (_, pinger) =>
      put.registration(aRegistration(1, "k", 1, { pinger })),
    );
    await direct.write([session(1), ...registrations]);
    const pages = ns.read({ select: everything() })[Symbol.asyncIterator]();
    expect((await pages.next()).value.registrations.length).toBeGreaterThan(0);
    faulty.fail();
    await expect(pages.next()).rejects.toThrow("told to fail");
    expect(await pages.next()).toMatchObject({ done: true });
  });
});
