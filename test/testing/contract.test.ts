/** The suite itself: that it runs with any test runner, and that it finds what is wrong with a store. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, inject, it } from "vitest";
import { includesKey, NOTHING } from "../../src/core/selection.ts";
import type { Namespace, Page, Pong, Store, Write } from "../../src/core/store.ts";
import { MemoryStore, storeContract } from "../../src/testing/index.ts";

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

type Changes = { [Member in keyof Namespace]?: Namespace[Member] | undefined };

/** A store whose namespaces are changed by `spoil`. */
function spoilt(spoil: (ns: Namespace) => Changes): Store {
  const memory = new MemoryStore();
  const namespace = (name: string): Namespace => {
    const ns = memory.namespace(name);
    const changes = spoil(ns);
    return new Proxy(ns, {
      get: (_, member: keyof Namespace) => {
        if (member in changes) return changes[member];
        const value = ns[member];
        return typeof value === "function" ? value.bind(ns) : value;
      },
    });
  };
  return { kind: "spoilt", clock: memory.clock, namespace, close: () => memory.close() };
}

async function* map(
  pages: AsyncIterable<Page>,
  change: (page: Page) => Page,
): AsyncGenerator<Page, void, undefined> {
  for await (const page of pages) yield change(page);
}

/** A store that writes something else in place of some writes. */
function changing(change: (write: Write) => Write | Write[]): (ns: Namespace) => Partial<Namespace> {
  return (ns) => ({ write: (writes) => ns.write(writes.flatMap(change)) });
}

/** What may be wrong with a store, and a sentence of the suite that says so. */
const SPOILS: readonly (readonly [string, string, (ns: Namespace) => Partial<Namespace>])[] = [
  [
    "gives the wanted config",
    "configure gives the config that holds",
    () => ({ configure: async (wanted) => wanted }),
  ],
  [
    "raises the offset whatever it was",
    "raiseOffset sets the offset only if",
    (ns) => ({ raiseOffset: async (_, to) => ns.raiseOffset((await ns.config())?.offset ?? 0, to) }),
  ],
  [
    "gives a number twice",
    "nextSeq gives no number twice",
    (ns) => ({ nextSeq: async () => (await ns.nextSeq()) & ~1 }),
  ],
  [
    "writes 1,000 at most",
    "1,500 registrations are written in one call",
    (ns) => ({ write: (writes) => ns.write(writes.slice(0, 1000)) }),
  ],
  [
    "writes backwards",
    "the writes of one call are applied in their order",
    (ns) => ({ write: (writes) => ns.write(writes.toReversed()) }),
  ],
  [
    "takes back the end of what is written again",
    "a later one",
    (ns) => ({ write: (writes) => ns.write(writes.filter(({ kind }) => kind !== "end")) }),
  ],
  [
    "creates what it touches",
    "ending, touching or updating what is not stored creates nothing",
    changing((write) => {
      if (write.kind !== "touch") return write;
      const { session: seq, slot } = write;
      return { kind: "session", session: { seq, host: "host", pid: 1, opened: 0, slot } };
    }),
  ],
  [
    "creates what it updates",
    "ending, touching or updating what is not stored creates nothing",
    changing((write) => {
      if (write.kind !== "meta") return write;
      const { registration, meta, revision } = write;
      return {
        kind: "registration",
        registration: { ...registration, key: "", since: 0, slot: 0, meta, revision },
      };
    }),
  ],
  [
    "forgets newer metas",
    "a newer meta is given by its revision, and changes nothing else",
    (ns) => ({ write: (writes) => ns.write(writes.filter(({ kind }) => kind !== "meta")) }),
  ],
  [
    "creates what it ends",
    "ending, touching or updating what is not stored creates nothing",
    changing((write) => {
      if (write.kind !== "end") return write;
      const registration = { ...write.registration, key: "", since: 0, slot: 0, meta: "", revision: 0 };
      return [{ kind: "registration", registration }, write];
    }),
  ],
  [
    "takes keys for prefixes",
    "reading a key gives its registrations and no other's",
    (ns) => ({
      read: (query) => ns.read({ ...query, select: { ...query.select, prefixes: query.select.keys } }),
    }),
  ],
  [
    "mixes up upper and lower case",
    "reading a key gives its registrations and no other's",
    (ns) => ({
      read: (query) =>
        map(ns.read({ ...query, select: { all: true, keys: new Set(), prefixes: new Set() } }), (page) => ({
          ...page,
          registrations: page.registrations.filter(({ key }) =>
            [key, key.toLowerCase(), key.toUpperCase()].some((one) => includesKey(query.select, one)),
          ),
        })),
    }),
  ],
  ["kills nobody", "kill ends every registration of the key", () => ({ kill: async () => {} })],
  [
    "loses the last bit of each word",
    "all 32 bits of a word are set one by one",
    (ns) => ({
      ping: (slot, seq) => ns.ping(slot, seq % 32 === 31 ? seq - 1 : seq),
    }),
  ],
  [
    "stamps no ping that is repeated",
    "a ping that is repeated renews the stamp of its record",
    (ns) => {
      const first = new Map<string, Promise<Pong>>();
      return {
        ping: (slot, seq) => {
          const id = `${slot}.${seq}`;
          const pong = first.get(id) ?? ns.ping(slot, seq);
          first.set(id, pong);
          return pong;
        },
      };
    },
  ],
  [
    "answers a ping with a time of its own",
    "the answer to a ping has the store's time",
    (ns) => ({ ping: async (slot, seq) => ({ ...(await ns.ping(slot, seq)), ms: 1 }) }),
  ],
  [
    "tells mail to the whole segment",
    "mail is seen by every later ping of its session in its slot",
    (ns) => ({ mail: (slot, seqs) => ns.mail(slot, [...seqs, ...seqs.map((seq) => seq + 1)]) }),
  ],
  [
    "tells mail once",
    "mail is seen by every later ping of its session in its slot",
    (ns) => {
      const told = new Set<number>();
      return {
        ping: async (slot, seq) => {
          const { ms, hasMail } = await ns.ping(slot, seq);
          const isNew = hasMail && !told.has(seq);
          if (isNew) told.add(seq);
          return { ms, hasMail: isNew };
        },
      };
    },
  ],
  [
    "takes mail for a ping",
    "mail is no ping",
    (ns) => ({
      mail: async (slot, seqs) => {
        for (const seq of seqs) await ns.ping(slot, seq);
        await ns.mail(slot, seqs);
      },
    }),
  ],
  [
    "counts what is away as open",
    "countOpen counts the session and its registrations",
    (ns) => ({
      countOpen: async (session) => {
        const { opened } = await ns.countOpen(session);
        let count = 0;
        for await (const page of ns.read({ select: NOTHING, session, registrations: "all" })) {
          const records = [...page.sessions, ...page.registrations];
          count += records.filter(({ last = Infinity }) => last > Date.now() / 60_000 + 500).length;
        }
        return { count, opened };
      },
    }),
  ],
  [
    "does not say when a session was opened",
    "countOpen says when the session was opened",
    (ns) => ({ countOpen: async (session) => ({ count: (await ns.countOpen(session)).count }) }),
  ],
  [
    "gives all of the asked session's registrations",
    "of the asked session a read gives the registrations that have ended alone",
    (ns) => ({ read: (query) => ns.read({ ...query, registrations: "all" }) }),
  ],
  [
    "touches without a stamp",
    "touching a session raises its slot and renews its stamp",
    (ns) => ({
      write: async (writes) => {
        for (const write of writes) {
          if (write.kind !== "touch") await ns.write([write]);
          else {
            const { session: seq, slot } = write;
            await ns.write([{ kind: "session", session: { seq, host: "h", pid: 1, opened: 0, slot } }]);
          }
        }
      },
    }),
  ],
  [
    "writes for a signal that is aborted",
    "a write whose signal is aborted before it begins",
    (ns) => ({ write: (writes) => ns.write(writes) }),
  ],
  [
    "gives no pings of slots ahead",
    "pings gives the slots from the asked one on",
    (ns) => ({
      pings: async (from) => {
        const now = Math.floor((await ns.time()) / 60_000);
        return (await ns.pings(from)).filter(({ slot }) => slot <= now + 1);
      },
    }),
  ],
  [
    "gives sessions after their registrations",
    "gives each once, none before its session",
    (ns) => ({
      read: async function* (query) {
        for await (const page of ns.read(query)) {
          yield { sessions: [], registrations: page.registrations };
          yield { ...page, registrations: [] };
        }
      },
    }),
  ],
  [
    "has no session for the asking",
    "a read gives the asked session's record and its registrations",
    (ns) => ({ read: (query) => ns.read({ ...query, session: undefined }) }),
  ],
  [
    "gives nothing for a cursor",
    "a read with a cursor gives all that has changed since",
    (ns) => ({
      read: (query) =>
        query.since === undefined
          ? ns.read(query)
          : map(ns.read(query), (page) => ({ ...page, sessions: [], registrations: [] })),
    }),
  ],
  [
    "takes its cursor when a read ends",
    "what changes while a read goes on",
    (ns) => ({
      read: (query) =>
        map(ns.read(query), (page) =>
          page.cursor === undefined ? page : { ...page, cursor: { store: 1e9 } },
        ),
    }),
  ],
  [
    "prunes by slots alone",
    "nothing goes that was changed after the given time",
    (ns) => ({ prune: (query) => ns.prune({ ...query, beforeMs: 8e15 }) }),
  ],
  [
    "prunes one slot too much",
    "a planned absence keeps its registration, and its session, until it is over",
    (ns) => ({ prune: (query) => ns.prune({ ...query, beforeSlot: query.beforeSlot + 1 }) }),
  ],
  [
    "prunes without a limit",
    "a prune deletes about as many of each kind as its limit says",
    (ns) => ({ prune: (query) => ns.prune({ ...query, limit: Infinity }) }),
  ],
  [
    "prunes no pings",
    "pings of slots before the given one go",
    () => ({ prune: async () => ({ sessions: 0, registrations: 0, slots: 0 }) }),
  ],
  ["drops nothing", "drop removes all", () => ({ drop: async () => {} })],
  [
    "tells a feed what it was closed for",
    "a closed feed reports nothing",
    (ns) => ({
      feed: (select, sink) => {
        const feed = ns.feed?.(select, sink);
        return { ready: Promise.resolve(), close: async () => void feed?.ready };
      },
    }),
  ],
  [
    "tells registrations without their sessions",
    "no registration is reported before its session",
    (ns) => ({
      feed: (select, sink) => {
        const feed = ns.feed?.(select, { ...sink, page: (page) => sink.page({ ...page, sessions: [] }) });
        if (feed === undefined) throw new Error("no feed");
        return feed;
      },
    }),
  ],
];

describe("the contract suite", () => {
  it.each(SPOILS)("finds a store that %s", async (_, sentence, spoil) => {
    const tests = [...collect(() => spoilt(spoil))].filter(([name]) => name.includes(sentence));
    expect(tests.length, sentence).toBeGreaterThan(0);
    const results = await Promise.allSettled(tests.map(([, run]) => run()));
    expect(results.map(({ status }) => status)).toContain("rejected");
  });

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
    const output = execFileSync(process.execPath, ["--test", "--test-reporter=tap", file], {
      encoding: "utf8",
    });
    rmSync(directory, { recursive: true });
    expect(output).toMatch(/^# fail 0$/m);
    expect(Number(/^# pass (\d+)$/m.exec(output)?.[1])).toBeGreaterThan(110);
  });

  it("says what it needs of a test runner", () => {
    expect(() => storeContract(() => new MemoryStore(), { describe })).toThrow("`it` or `test`");
  });
});
