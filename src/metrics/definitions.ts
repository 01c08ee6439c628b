/**
 * The metrics, which `docs/metrics.md` describes. All have the label `namespace`, and at most one more, whose values
 * are all known, so that every series exists from the start.
 */
import type { Gauges, Internals } from "../presence/internals.ts";
import type { Presence } from "../presence/presence.ts";

export interface Definition {
  readonly name: string;
  readonly help: string;
  /** The other label, and its values. */
  readonly label?: readonly [name: string, values: readonly string[]];
}

export interface GaugeDefinition extends Definition {
  /**
   * How prom-client combines the values of several processes, as with `node:cluster`. Values that describe the
   * namespace rather than the process must not be added up.
   */
  readonly aggregator: "sum" | "min" | "max" | "average";
  /** The value now, for each value of the label; undefined values are not exported. */
  readonly read: (now: Now) => Values | Promise<Values>;
}

type Values = readonly (number | undefined)[];

export interface HistogramDefinition extends Definition {
  readonly buckets: readonly number[];
}

/** A presence as it is now. */
export interface Now {
  readonly presence: Presence;
  readonly inside: Internals;
  readonly gauges: Gauges;
}

const RESULT = ["result", ["ok", "failed"]] as const;
const FEED_STATES = ["off", "opening", "live", "refused"] as const;
/** In seconds: from an embedded store to a server that is about to be given up. */
const LATENCIES = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export const counters = {
  pings: {
    name: "heartbit_pings_total",
    help: "Pings that were acknowledged, and that failed or were given up.",
    label: RESULT,
  },
  reads: {
    name: "heartbit_reads_total",
    help: "Reads of the pings and changes of a slot, and reads of any kind that failed or were given up.",
    label: RESULT,
  },
  changes: {
    name: "heartbit_changes_total",
    help: "Changes reported to watchers, by cause: one for each key, however many watchers get it.",
    label: ["cause", ["joined", "updated", "stopped", "killed", "expired"]],
  },
  feedRestarts: {
    name: "heartbit_feed_restarts_total",
    help: "How often the change feed ended by itself and was opened again.",
  },
  lapses: {
    name: "heartbit_lapses_total",
    help: "How often this process could not ping for so long that others may have reported its keys dead.",
  },
  pruned: {
    name: "heartbit_pruned_total",
    help: "Records that this process deleted because they were dead for longer than the retention.",
    label: ["kind", ["sessions", "registrations", "slots"]],
  },
} as const satisfies Record<string, Definition>;

export const histograms = {
  ping: {
    name: "heartbit_ping_seconds",
    help: "How long acknowledged pings took.",
    buckets: LATENCIES,
  },
  read: {
    name: "heartbit_read_seconds",
    help: "How long it took to read the pings and changes of a slot.",
    buckets: LATENCIES,
  },
  reportedAfter: {
    name: "heartbit_told_after_periods",
    help: "For keys that expired: the time from the start of the slot of their last ping to the report, in periods. 2.5 if all is well.",
    buckets: [1, 2, 2.25, 2.5, 2.55, 2.6, 2.75, 3, 3.5, 4, 6, 10, 30, 100],
  },
} as const satisfies Record<string, HistogramDefinition>;

export const gauges: readonly GaugeDefinition[] = [
  {
    name: "heartbit_alive",
    aggregator: "max",
    help: "Live keys that this presence watches, and sessions that hold them. Absent if it watches nothing.",
    label: ["kind", ["keys", "sessions"]],
    read: async ({ gauges: { watching } }) => {
      const alive = await watching?.alive();
      return [alive?.keys, alive?.sessions];
    },
  },
  {
    name: "heartbit_held_keys",
    aggregator: "sum",
    help: "Keys that this presence holds.",
    read: ({ gauges: { held } }) => [held],
  },
  {
    name: "heartbit_undelivered_changes",
    aggregator: "sum",
    help: "Changes that listeners and iterators have not taken yet.",
    read: ({ gauges: { watching } }) => [watching?.undelivered ?? 0],
  },
  {
    name: "heartbit_healthy",
    aggregator: "min",
    help: "1, or 0 while its view may be out of date (stale) and expiries are held back.",
    read: ({ presence }) => [presence.health.state === "healthy" ? 1 : 0],
  },
  {
    name: "heartbit_feed_state",
    aggregator: "sum",
    help: "1 for the state that the change feed is in; refused: changes are polled.",
    label: ["state", FEED_STATES],
    read: ({ gauges: { watching } }) =>
      FEED_STATES.map((state) => (state === (watching?.feed ?? "off") ? 1 : 0)),
  },
  {
    name: "heartbit_vouched_seconds",
    aggregator: "min",
    help: "How long others certainly consider this process alive if it stops pinging; negative after a lapse. Absent if it does not ping.",
    read: ({ presence, inside }) => [secondsUntil(presence.vouchedUntil, inside)],
  },
  {
    name: "heartbit_slots_behind",
    aggregator: "max",
    help: "How many slots the store's time is behind the latest slot: above 0 only after its clock has stepped back.",
    read: ({ inside }) => [inside.time.slotsBehind],
  },
  {
    name: "heartbit_clock_offset_seconds",
    aggregator: "average",
    help: "The store's time minus this machine's.",
    read: ({ inside }) => [inside.time.wallDistance / 1000],
  },
  {
    name: "heartbit_clock_error_seconds",
    aggregator: "max",
    help: "How far heartbit's view of the store's time may be off.",
    read: ({ inside }) => [inside.time.errorMs / 1000],
  },
  {
    name: "heartbit_period_seconds",
    aggregator: "max",
    help: "The period of the namespace.",
    read: ({ presence }) => [presence.periodMs / 1000],
  },
];

function secondsUntil(date: Date | null, { clock }: Internals): number | undefined {
  return date === null ? undefined : (date.getTime() - clock.now()) / 1000;
}
