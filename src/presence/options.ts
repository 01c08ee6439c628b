import { invalid, show } from "../core/checks.ts";
import { type Clock, isClock } from "../core/clock.ts";
import { PERIOD_MS_DEFAULT } from "../core/records.ts";
import { checkNumber, checkOptionsObject, checkSignal } from "../lib/arguments.ts";
import type { Logger } from "../lib/log.ts";

/** Options of `Presence.open`. All are optional. */
export interface PresenceOptions {
  /**
   * The namespace; namespaces do not see each other. Default `presence`, or the name of the `Collection` that is
   * opened. 1 to 64 letters, digits, `_`, `-` and `.`, beginning with a letter, digit or `_`.
   */
  readonly name?: string;
  /**
   * The length of a slot, in ms: 100 to 3,600,000, default 5,000. All presences of a namespace must agree. A crash is
   * reported 1.1 to 2.5 periods after it: halving the period halves that, and doubles the writes.
   */
  readonly periodMs?: number;
  /**
   * How long dead records are kept, in slots: 10 to 100,000, default 120. A longer retention lets watchers be away for
   * longer without reading everything again, and stores more.
   */
  readonly retentionSlots?: number;
  /** `auto`: the store's change feed if it has one, otherwise polling; `poll`: always polling. Default `auto`. */
  readonly feed?: "auto" | "poll";
  /**
   * How often changes are read without a feed, in ms: 10 up to the period, default a quarter of the period, at most
   * 1,000. A shorter interval reports joins and kills sooner, and reads more.
   */
  readonly pollMs?: number;
  /** Time and timers. Default: the store's own clock if it has one, otherwise the machine's. */
  readonly clock?: Clock;
  /** Receives what heartbit logs. Default: none. `NODE_DEBUG=heartbit` also logs to stderr. */
  readonly logger?: Partial<Logger>;
  /** If aborted while opening, `open` rejects with `PRESENCE_CLOSED`; if aborted later, the presence closes. */
  readonly signal?: AbortSignal;
}

type WithoutDefault = "clock" | "logger" | "signal";

/** @internal */
export type CheckedOptions = Required<Omit<PresenceOptions, WithoutDefault>> & {
  readonly [Name in WithoutDefault]: PresenceOptions[Name] | undefined;
};

const KNOWN = [
  "name",
  "periodMs",
  "retentionSlots",
  "feed",
  "pollMs",
  "clock",
  "logger",
  "signal",
] as const satisfies readonly (keyof PresenceOptions)[];
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;

/** @internal The options with defaults, or `INVALID_OPTION`. `name` defaults to the target's name if it has one. */
export function checkOptions(options: PresenceOptions, targetName: string | undefined): CheckedOptions {
  checkOptionsObject(options, KNOWN);
  const { name = targetName ?? "presence", feed = "auto", clock, logger, signal } = options;
  if (typeof name !== "string" || !NAME.test(name)) {
    throw invalid(
      "name",
      show(name),
      "1 to 64 letters, digits, `_`, `-` or `.`, not beginning with `-` or `.`",
    );
  }
  const periodMs = checkNumber("periodMs", options.periodMs ?? PERIOD_MS_DEFAULT, 100, 3_600_000);
  const retentionSlots = checkNumber("retentionSlots", options.retentionSlots ?? 120, 10, 100_000);
  const pollMs = checkNumber("pollMs", options.pollMs ?? Math.min(periodMs / 4, 1000), 10, periodMs);
  if (!Number.isInteger(periodMs)) throw invalid("periodMs", show(periodMs), "a whole number of ms");
  if (!Number.isInteger(retentionSlots))
    throw invalid("retentionSlots", show(retentionSlots), "a whole number");
  if (feed !== "auto" && feed !== "poll") throw invalid("feed", show(feed), '"auto" or "poll"');
  if (clock !== undefined && !isClock(clock)) {
    throw invalid("clock", show(clock), "a Clock, with now, monotonic and setTimer");
  }
  checkSignal(signal);
  if (logger !== undefined && (typeof logger !== "object" || logger === null)) {
    throw invalid("logger", show(logger), "an object with some of debug, info, warn and error");
  }
  return { name, periodMs, retentionSlots, feed, pollMs, clock, logger, signal };
}
