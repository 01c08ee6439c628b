import assert from "node:assert/strict";
import { isHeartbitError } from "../../core/errors.ts";
import { NOTHING, type Selection } from "../../core/selection.ts";
import type { Feed, Namespace, Page } from "../../core/store.ts";
import {
  aRegistration,
  aSession,
  configured,
  everything,
  idOf,
  only,
  put,
  type Suite,
  type World,
} from "./world.ts";

/** A feed that is ready, and what it has reported. */
interface Listener {
  readonly pages: Page[];
  readonly losses: unknown[];
  readonly feed: Feed;
  /** Resolves once `seen` returns true for everything reported. */
  readonly until: (seen: () => boolean) => Promise<void>;
  /** Resolves once a registration of this session has been reported. */
  readonly reportedOf: (session: number) => Promise<void>;
}

/** Opens a feed; undefined if the store has none. */
async function listen(ns: Namespace, select: Selection): Promise<Listener | undefined> {
  const pages: Page[] = [];
  const losses: unknown[] = [];
  const waiting = new Set<() => void>();
  const reported = (): void => waiting.forEach((check) => check());
  const feed = ns.feed?.(select, {
    page: (page) => {
      pages.push(page);
      reported();
    },
    lost: (error) => {
      losses.push(error);
      reported();
    },
  });
  if (feed === undefined) return undefined;
  try {
    await feed.ready;
  } catch (error) {
    if (isHeartbitError(error, "UNSUPPORTED_SERVER")) return undefined;
    throw error;
  }
  const until = (seen: () => boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      const check = (): void => {
        if (seen()) resolve();
        else if (losses.length > 0) reject(losses[0]);
        else return;
        waiting.delete(check);
      };
      waiting.add(check);
      check();
    });
  const reportedOf = (session: number): Promise<void> =>
    until(() =>
      pages.some(({ registrations }) =>
        registrations.some((registration) => registration.session === session),
      ),
    );
  return { pages, losses, feed, until, reportedOf };
}

/** Runs the body with a feed. If the store has none, there is nothing to test. */
function withFeed(select: Selection, body: (world: World, listener: Listener) => Promise<void>) {
  return configured(async (world) => {
    const listener = await listen(world.another(), select);
    if (listener === undefined) return;
    await body(world, listener);
    await listener.feed.close();
  });
}

export const feedTests: Suite = (test) => {
  test(
    "a new session and a new registration are reported as they are",
    withFeed(everything(), async ({ ns, slot }, { pages, reportedOf }) => {
      const registration = aRegistration(1, "key", slot, { meta: '"meta"' });
      await ns.write([put.session(aSession(1, slot)), put.registration(registration)]);
      await reportedOf(1);
      const reported = pages.flatMap((page) => page.registrations)[0];
      assert.deepEqual(
        { ...reported, changed: 0, last: undefined },
        { ...registration, changed: 0, last: undefined },
      );
      assert.equal(pages.flatMap((page) => page.sessions)[0]?.host, "host-1");
    }),
  );

  test(
    "updates, ends, kills and closed sessions are reported",
    withFeed(everything(), async ({ ns, slot }, { pages, until }) => {
      const registrations = ["updated", "ended", "killed"].map((key, pinger) =>
        aRegistration(1, key, slot, { pinger }),
      );
      const [updated, ended, killed] = registrations;
      assert.ok(updated !== undefined && ended !== undefined && killed !== undefined);
      await ns.write([
        put.session(aSession(1, slot)),
        put.session(aSession(2, slot)),
        ...registrations.map(put.registration),
      ]);
      await ns.write([put.registration({ ...updated, meta: "1", revision: 1 }), put.end(ended, slot + 1)]);
      await ns.kill("killed");
      await ns.write([put.endSession(2, slot + 2)]);
      await until(() => {
        const reported = pages.flatMap((page) => page.registrations);
        const closed = pages
          .flatMap((page) => page.sessions)
          .some(({ seq, last }) => seq === 2 && last === slot + 2);
        const of = (id: string): typeof reported =>
          reported.filter((registration) => idOf(registration) === id);
        return (
          closed &&
          of(idOf(updated)).some(({ meta }) => meta === "1") &&
          of(idOf(ended)).some(({ last }) => last === slot + 1) &&
          of(idOf(killed)).some(({ last }) => last === 0)
        );
      });
    }),
  );

  test(
    "a raised slot of a session is not reported, a touched session is",
    withFeed(everything(), async ({ ns, slot }, { pages, until, reportedOf }) => {
      await ns.write([put.session(aSession(1, slot))]);
      await until(() => pages.some(({ sessions }) => sessions.some(({ seq }) => seq === 1)));
      await ns.write([put.session(aSession(1, slot + 1)), put.session(aSession(1, slot + 2))]);
      await ns.write([put.session(aSession(2, slot)), put.registration(aRegistration(2, "marker", slot))]);
      await reportedOf(2);
      const reported = pages.flatMap(({ sessions }) => sessions).filter(({ seq }) => seq === 1);
      assert.deepEqual(new Set(reported.map((session) => session.slot)), new Set([slot]));
      await ns.write([put.touch(1, slot + 3)]);
      await until(() =>
        pages.some(({ sessions }) =>
          sessions.some((session) => session.seq === 1 && session.slot === slot + 3),
        ),
      );
    }),
  );

  test(
    "no registration is reported before its session, even if the session is older than the feed",
    configured(async ({ ns, another, slot }) => {
      await ns.write([1, 2].map((seq) => put.session(aSession(seq, slot))));
      const listener = await listen(another(), everything());
      if (listener === undefined) return;
      for (const seq of [1, 2, 3]) {
        if (seq === 3) await ns.write([put.session(aSession(3, slot))]);
        await ns.write([put.registration(aRegistration(seq, "key", slot))]);
        await listener.reportedOf(seq);
      }
      const known = new Set<number>();
      for (const { sessions, registrations } of listener.pages) {
        for (const { seq } of sessions) known.add(seq);
        for (const registration of registrations)
          assert.ok(known.has(registration.session), `${idOf(registration)} came before its session`);
      }
      await listener.feed.close();
    }),
  );

  for (const [what, select] of [
    ["a key", only("agent/1")],
    ["a prefix", only({ prefix: "agent/" })],
    ["everything", everything()],
  ] as const) {
    test(
      `a feed of ${what} reports the registrations that it is asked for`,
      withFeed(select, async ({ ns, slot }, { pages, reportedOf }) => {
        await ns.write([1, 2].map((seq) => put.session(aSession(seq, slot))));
        await ns.write([
          put.registration(aRegistration(1, "other", slot)),
          put.registration(aRegistration(2, "agent/1", slot)),
        ]);
        await reportedOf(2);
        assert.ok(pages.flatMap(({ registrations }) => registrations).some(({ key }) => key === "agent/1"));
      }),
    );
  }

  test(
    "a feed of nothing reports the sessions",
    withFeed(NOTHING, async ({ ns, slot }, { pages, until }) => {
      await ns.write([put.session(aSession(1, slot)), put.endSession(1, 0)]);
      await until(() => pages.flatMap(({ sessions }) => sessions).some(({ last }) => last === 0));
    }),
  );

  test(
    "500 changes in one write are all reported",
    withFeed(everything(), async ({ ns, slot }, { pages, until }) => {
      const registrations = Array.from({ length: 500 }, (_, pinger) =>
        aRegistration(1, `key-${pinger}`, slot, { pinger }),
      );
      await ns.write([put.session(aSession(1, slot)), ...registrations.map(put.registration)]);
      await until(() => new Set(pages.flatMap((page) => page.registrations).map(idOf)).size === 500);
    }),
  );

  test(
    "several feeds report the same changes",
    withFeed(everything(), async ({ ns, slot }, listener) => {
      const second = await listen(ns, only("key"));
      await ns.write([put.session(aSession(1, slot)), put.registration(aRegistration(1, "key", slot))]);
      await Promise.all([listener.reportedOf(1), second?.reportedOf(1)]);
      await second?.feed.close();
    }),
  );

  test(
    "a closed feed reports nothing, not even that it is lost; closing twice is harmless",
    withFeed(everything(), async ({ ns, another, slot }, listener) => {
      const closed = await listen(another(), everything());
      await closed?.feed.close();
      await closed?.feed.close();
      await ns.write([put.session(aSession(1, slot)), put.registration(aRegistration(1, "key", slot))]);
      await listener.reportedOf(1);
      assert.deepEqual([closed?.pages, closed?.losses], [[], []]);
    }),
  );

  test(
    "closing a namespace closes its feeds, and no other client's",
    withFeed(everything(), async ({ ns, another, slot }, listener) => {
      const client = another();
      const closed = await listen(client, everything());
      await client.close();
      await ns.write([put.session(aSession(1, slot)), put.registration(aRegistration(1, "key", slot))]);
      await listener.reportedOf(1);
      assert.deepEqual([closed?.pages, closed?.losses], [[], []]);
    }),
  );
};
