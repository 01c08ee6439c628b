/** The suite itself: that it runs with any test runner, and that it finds what is wrong with a store. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, inject, it } from "vitest";
import type { Namespace, Page, Pong, Store, Write } from "../../src/core/store.ts";
import { aRegistration, aSession, CONFIG, put, readAll } from "../../src/testing/contract/world.ts";
import { MemoryStore, storeContract } from "../../src/testing/index.ts";
import { type Replace, wrap } from "../presence/support.ts";

/** The suite's tests by their sentence, declared for the store but not run. */
function collect(makeStore: () => Store): Map<string, () => Promise<void>> {
  const tests = new Map<string, () => Promise<void>>();
  storeContract(makeStore, {
    describe: (_, body) => body(),
    test: (sentence, body) => {
      expect(tests.has(sentence), `${sentence} is said once`).toBe(false);
      tests.set(sentence, body);
    },
  });
  return tests;
}

/** What is wrong with a store: what its namespaces do in place of what they should. */
type Spoil = (ns: Namespace) => { [Member in keyof Namespace]?: Namespace[Member] | undefined };

const spoilt = (spoil: Spoil): Store => wrap(new MemoryStore(), spoil as Replace);

async function* map(pages: AsyncIterable<Page>, change: (page: Page) => Page): AsyncGenerator<Page> {
  for await (const page of pages) yield change(page);
}

/** Its writes go through this. */
const writing =
  (change: (writes: readonly Write[]) => readonly Write[]): Spoil =>
  (ns) => ({ write: (writes) => ns.write(change(writes)) });

/** Declares that the suite finds a store of which this is wrong, by the tests whose names have the sentence. */
function finds(wrong: string, sentence: string, spoil: Spoil): void {
  it(`finds a store that ${wrong}`, async () => {
    const tests = [...collect(() => spoilt(spoil))].filter(([name]) => name.includes(sentence));
    expect(tests.length, sentence).toBeGreaterThan(0);
    const results = await Promise.allSettled(tests.map(([, run]) => run()));
    expect(results.map(({ status }) => status)).toContain("rejected");
  });
}

describe("the contract suite", () => {
  finds("gives the wanted config", "configure gives the config that holds", () => ({
    configure: async (wanted) => wanted,
  }));
  finds("raises the offset whatever it was", "raiseOffset sets the offset only if", (ns) => ({
    raiseOffset: async (_, to) => ns.raiseOffset((await ns.config())?.offset ?? 0, to),
  }));
  finds("gives a number twice", "nextSeq gives no number twice", (ns) => ({
    nextSeq: async () => (await ns.nextSeq()) & ~1,
  }));

  const withoutKind = (without: Write["kind"]) =>
    writing((writes) => writes.filter(({ kind }) => kind !== without));
  const atMost1000 = writing((writes) => writes.slice(0, 1000));
  finds("writes 1,000 at most", "1,500 registrations are written in one call", atMost1000);
  const backwards = writing((writes) => writes.toReversed());
  finds("writes backwards", "the writes of one call are applied in their order", backwards);
  finds("takes back the end of what is written again", "a later one", withoutKind("end"));
  finds("forgets newer metas", "a newer meta is given by its revision", withoutKind("meta"));
  const touchAsSession = writing((writes) =>
    writes.map((write) =>
      write.kind === "touch" ? put.session(aSession(write.session, write.slot)) : write,
    ),
  );
  const creating = (created: "end" | "meta") =>
    writing((writes) =>
      writes.flatMap((write) => {
        if ((write.kind !== "end" && write.kind !== "meta") || write.kind !== created) return write;
        const { session, ...rest } = write.registration;
        return [put.registration(aRegistration(session, "", 0, rest)), write];
      }),
    );
  const creatingNothing = "ending, touching or updating what is not stored creates nothing";
  finds("creates what it ends", creatingNothing, creating("end"));
  finds("creates what it updates", creatingNothing, creating("meta"));
  finds("creates what it touches", creatingNothing, touchAsSession);
  finds("touches without a stamp", "touching a session raises its slot and renews its stamp", touchAsSession);
  finds("writes for a signal that is aborted", "a write whose signal is aborted before it begins", (ns) => ({
    write: (writes) => ns.write(writes),
  }));

  finds("takes keys for prefixes", "reading a key gives its registrations and no other's", (ns) => ({
    read: (query) => ns.read({ ...query, select: { ...query.select, prefixes: query.select.keys } }),
  }));
  finds("kills nobody", "kill ends every registration of the key", () => ({ kill: async () => {} }));

  finds("loses the last bit of each word", "all 32 bits of a word are set one by one", (ns) => ({
    ping: (slot, seq) => ns.ping(slot, seq % 32 === 31 ? seq - 1 : seq),
  }));
  finds(
    "stamps no repeated ping",
    "a ping that is repeated renews the stamp and the revision of its record",
    (ns) => {
      const first = new Map<string, Promise<Pong>>();
      return {
        ping: (slot, seq) => {
          const pong = first.get(`${slot}.${seq}`) ?? ns.ping(slot, seq);
          first.set(`${slot}.${seq}`, pong);
          return pong;
        },
      };
    },
  );
  finds("answers a ping with a time of its own", "the answer to a ping has the store's time", (ns) => ({
    ping: async (slot, seq) => ({ ...(await ns.ping(slot, seq)), ms: 1 }),
  }));
  finds("tells mail to the whole segment", "mail is seen by every later ping of its session", (ns) => ({
    mail: (slot, seqs) => ns.mail(slot, [...seqs, ...seqs.map((seq) => seq + 1)]),
  }));
  finds("takes mail for a ping", "mail is no ping", (ns) => ({
    mail: async (slot, seqs) => {
      for (const seq of seqs) await ns.ping(slot, seq);
      await ns.mail(slot, seqs);
    },
  }));
  finds("gives no pings of slots ahead", "pings gives the slots from the asked one on", (ns) => ({
    pings: async (from) => {
      const now = Math.floor((await ns.time()) / CONFIG.periodMs);
      return (await ns.pings(from)).filter(({ slot }) => slot <= now + 1);
    },
  }));

  finds("counts what is away as open", "countOpen counts the session and its registrations", (ns) => ({
    countOpen: async (session) => {
      const { opened } = await ns.countOpen(session);
      const { sessions, registrations } = await readAll(ns, { session });
      const later = Date.now() / CONFIG.periodMs + 500;
      const records = [...sessions.values(), ...registrations.values()];
      return { count: records.filter(({ last = Infinity }) => last > later).length, opened };
    },
  }));
  finds("does not say when a session was opened", "countOpen says when the session was opened", (ns) => ({
    countOpen: async (session) => ({ count: (await ns.countOpen(session)).count }),
  }));
  finds("gives all of the asked session's records", "the registrations that have ended alone", (ns) => ({
    read: (query) => ns.read({ ...query, registrations: "all" }),
  }));
  finds("has no session for the asking", "a read gives the asked session's record and its", (ns) => ({
    read: (query) => ns.read({ ...query, session: undefined }),
  }));
  finds("gives sessions after their registrations", "gives each once, none before its session", (ns) => ({
    read: async function* (query) {
      for await (const page of ns.read(query)) {
        yield { sessions: [], registrations: page.registrations };
        yield { ...page, registrations: [] };
      }
    },
  }));
  finds("gives nothing for a cursor", "a read with a cursor gives all that has changed since", (ns) => ({
    read: (query) =>
      map(ns.read(query), (page) => (query.since ? { ...page, sessions: [], registrations: [] } : page)),
  }));
  finds("takes its cursor when a read ends", "what changes while a read goes on", (ns) => ({
    read: (query) =>
      map(ns.read(query), (page) => (page.cursor ? { ...page, cursor: { store: 1e9 } } : page)),
  }));

  finds("prunes by slots alone", "nothing goes that was changed after the given time", (ns) => ({
    prune: (query) => ns.prune({ ...query, beforeMs: 8e15 }),
  }));
  finds("prunes one slot too much", "a planned absence keeps its registration, and its session", (ns) => ({
    prune: (query) => ns.prune({ ...query, beforeSlot: query.beforeSlot + 1 }),
  }));
  finds("prunes without a limit", "a prune deletes about as many of each kind as its limit", (ns) => ({
    prune: (query) => ns.prune({ ...query, limit: Infinity }),
  }));
  finds("prunes no pings", "pings of slots before the given one go", () => ({
    prune: async () => ({ sessions: 0, registrations: 0, slots: 0 }),
  }));
  finds("drops nothing", "drop removes all", () => ({ drop: async () => {} }));

  finds("tells a feed what it was closed for", "a closed feed reports nothing", (ns) => ({
    feed: (select, sink) => {
      const feed = ns.feed?.(select, sink);
      return { ready: Promise.resolve(), close: async () => void feed?.ready };
    },
  }));
  finds("tells registrations without their sessions", "no registration is reported before its", (ns) => ({
    feed: (select, sink) =>
      ns.feed?.(select, { ...sink, page: (page) => sink.page({ ...page, sessions: [] }) }) ??
      expect.fail("there is no feed"),
  }));

  it("finds nothing wrong with a store that was not spoilt", async () => {
    for (const [, run] of collect(() => spoilt(() => ({})))) await run();
  });

  it("passes a store that has no feed", async () => {
    for (const [, run] of collect(() => spoilt(() => ({ feed: undefined })))) await run();
  });

  it("runs with node:test", () => {
    const built = pathToFileURL(inject("built")).href;
    const directory = mkdtempSync(join(tmpdir(), "heartbit-contract-"));
    const file = join(directory, "store.test.mjs");
    writeFileSync(
      file,
      `import { describe, test } from "node:test";
       import { MemoryStore, storeContract } from "${built}/testing/index.js";
       storeContract(() => new MemoryStore(), { describe, test });`,
    );
    const options = ["--test", "--test-reporter=tap", file];
    const output = execFileSync(process.execPath, options, { encoding: "utf8" });
    rmSync(directory, { recursive: true });
    expect(output).toMatch(/^# fail 0$/m);
    expect(Number(/^# pass (\d+)$/m.exec(output)?.[1])).toBeGreaterThan(110);
  });

  it("says what it needs of a test runner", () => {
    expect(() => storeContract(() => new MemoryStore(), { describe })).toThrow("`it` or `test`");
  });
});
