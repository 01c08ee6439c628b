/**
 * The namespace without records that no clock can have written.
 *
 * A stored slot ahead of the present looks like a step back of the store's clock, and slots continue from it, for
 * everyone and for good. A document with a wrong number must not cause that, nor keep a key alive for ever. The bound
 * is a hundred years, because a clock without a battery starts in 1970, so steps of decades do happen. After hundreds
 * of such steps a position still has enough precision for fractions of a slot.
 */
import { GivenUp } from "../../core/errors.ts";
import type { Slot } from "../../core/slots.ts";
import type { Namespace, Page } from "../../core/store.ts";
import { eachOf, Waits } from "../../lib/timers.ts";
import type { StoreTime } from "../../core/store-time.ts";

const AHEAD_MS_MAX = 100 * 365.25 * 24 * 3_600_000;

/**
 * Returns the namespace without records too far ahead, and warns about them once. Closing it gives up all calls that
 * the store has not answered yet, so that a program need not wait for a store that is away before it can exit.
 */
export function guarded(
  namespace: Namespace,
  time: StoreTime,
  periodMs: number,
  warn: (message: string) => void,
): Namespace {
  let hasWarned = false;
  const isPossible = (...slots: (Slot | undefined)[]): boolean => {
    if (!time.isKnown) return true;
    const latest = time.slot + AHEAD_MS_MAX / periodMs;
    const far = slots.find((slot) => slot !== undefined && slot > latest);
    if (far === undefined) return true;
    if (!hasWarned) warn(`Ignored a record of slot ${far}, more than 100 years ahead of the present.`);
    hasWarned = true;
    return false;
  };
  // The roster ignores the registrations of a session that is left out.
  const ofPage = (page: Page): Page => ({
    ...page,
    sessions: page.sessions.filter(({ slot, last }) => isPossible(slot, last)),
    registrations: page.registrations.filter(({ slot, last }) => isPossible(slot, last)),
  });
  const waits = new Waits();
  return {
    config: () => waits.until(namespace.config()),
    configure: (wanted) => waits.until(namespace.configure(wanted)),
    raiseOffset: (from, to) => waits.until(namespace.raiseOffset(from, to)),
    time: () => waits.until(namespace.time()),
    nextSeq: () => waits.until(namespace.nextSeq()),
    write: (writes, signal) => waits.until(namespace.write(writes, signal)),
    ping: (slot, seq) => waits.until(namespace.ping(slot, seq)),
    mail: (slot, seqs) => waits.until(namespace.mail(slot, seqs)),
    countOpen: (session) => waits.until(namespace.countOpen(session)),
    kill: (key) => waits.until(namespace.kill(key)),
    pings: async (from) => {
      const records = await waits.until(namespace.pings(from));
      return records.filter(({ slot }) => isPossible(slot));
    },
    async *read(query) {
      const pages = eachOf(namespace.read(query), (next) => waits.until(next));
      for await (const page of pages) yield ofPage(page);
    },
    prune: (query) => waits.until(namespace.prune(query)),
    drop: () => waits.until(namespace.drop()),
    ...(namespace.feed === undefined ? {} : { feed: feedOf(namespace, ofPage) }),
    ...(namespace.notices === undefined ? {} : { notices: namespace.notices.bind(namespace) }),
    close: () => {
      waits.giveUp(new GivenUp("The presence was closed before the store had answered."));
      return namespace.close();
    },
  };
}

type OpenFeed = NonNullable<Namespace["feed"]>;

function feedOf(namespace: Namespace, ofPage: (page: Page) => Page): OpenFeed {
  const feed = namespace.feed?.bind(namespace) as OpenFeed;
  return (select, sink) =>
    feed(select, { page: (page) => sink.page(ofPage(page)), lost: (error) => sink.lost(error) });
}
