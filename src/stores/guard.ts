/**
 * The namespace as a presence sees it: without records that no clock can have written, and with passing refusals
 * distinguished from final ones.
 *
 * A stored slot ahead of the current one looks like a step back of the store's clock, and slots continue from it, for
 * everyone and for good. A document with a wrong number must not cause that, nor keep a key alive for ever. The bound
 * is a hundred years, because a clock without a battery starts in 1970, so steps of decades do happen. After hundreds
 * of such steps a position still has enough precision for fractions of a slot.
 */
import { GivenUp, isHeartbitError, isRefusal, PassingRefusal } from "../core/errors.ts";
import type { Slot } from "../core/slots.ts";
import type { StoreTime } from "../core/store-time.ts";
import type { Namespace, Page } from "../core/store.ts";
import { handled } from "../lib/handled.ts";
import { eachOf, Waits } from "../lib/timers.ts";

const AHEAD_MS_MAX = 100 * 365.25 * 24 * 3_600_000;

/**
 * Returns the namespace without records too far ahead, and warns about them once. A refusal of what was permitted
 * before becomes a `PassingRefusal`. Closing the namespace gives up all calls that the store has not answered yet, so
 * that a program need not wait for a store that is away before it can exit.
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
    if (!hasWarned) warn(`Ignored a record of slot ${far}, more than 100 years ahead of the current one.`);
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
  const permitted = new Set<Right>();
  const call = <T>(right: Right, work: Promise<T>): Promise<T> =>
    waits.until(withPassingRefusals(permitted, right, work));
  return {
    config: () => call("read the config", namespace.config()),
    configure: (wanted) => call("read the config", namespace.configure(wanted)),
    raiseOffset: (from, to) => call("write the config", namespace.raiseOffset(from, to)),
    time: () => call("read the time", namespace.time()),
    nextSeq: () => call("number a session", namespace.nextSeq()),
    write: (writes, signal) => call("write", namespace.write(writes, signal)),
    ping: (slot, seq) => call("ping", namespace.ping(slot, seq)),
    mail: (slot, seqs) => call("ping", namespace.mail(slot, seqs)),
    countOpen: (session) => call("read", namespace.countOpen(session)),
    kill: (key) => call("write", namespace.kill(key)),
    pings: async (from) => {
      const records = await call("read pings", namespace.pings(from));
      return records.filter(({ slot }) => isPossible(slot));
    },
    async *read(query) {
      const pages = eachOf(namespace.read(query), (next) => call("read", next));
      for await (const page of pages) yield ofPage(page);
    },
    prune: (query) => call("prune", namespace.prune(query)),
    drop: () => call("drop", namespace.drop()),
    ...(namespace.feed === undefined ? {} : { feed: feedOf(namespace, ofPage, permitted) }),
    ...(namespace.notices === undefined ? {} : { notices: namespace.notices.bind(namespace) }),
    ...(namespace.delay === undefined ? {} : { delay: namespace.delay.bind(namespace) }),
    ...(namespace.inTurn === undefined ? {} : { inTurn: namespace.inTurn.bind(namespace) }),
    close: () => {
      waits.giveUp(new GivenUp("The presence was closed before the store had answered."));
      return namespace.close();
    },
  };
}

type OpenFeed = NonNullable<Namespace["feed"]>;

function feedOf(namespace: Namespace, ofPage: (page: Page) => Page, permitted: Set<Right>): OpenFeed {
  const open = namespace.feed?.bind(namespace) as OpenFeed;
  return (select, sink) => {
    const feed = open(select, {
      page: (page) => sink.page(ofPage(page)),
      lost: (error) => sink.lost(error),
    });
    // A caller that closes the feed early need not await it.
    const ready = handled(withPassingRefusals(permitted, "follow changes", feed.ready));
    return { ready, close: () => feed.close() };
  };
}

/** Something that a user may be permitted separately: usually one right on one collection. */
type Right =
  | "read the config"
  | "write the config"
  | "read the time"
  | "number a session"
  | "write"
  | "ping"
  | "read"
  | "read pings"
  | "prune"
  | "drop"
  | "follow changes";

/** The result of the work. A refusal of something permitted before becomes a `PassingRefusal`. */
async function withPassingRefusals<T>(permitted: Set<Right>, right: Right, work: Promise<T>): Promise<T> {
  try {
    const result = await work;
    permitted.add(right);
    return result;
  } catch (error) {
    const isRefused = isHeartbitError(error) && isRefusal(error) && permitted.has(right);
    throw isRefused ? new PassingRefusal(error) : error;
  }
}
