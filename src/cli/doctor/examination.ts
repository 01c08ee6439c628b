/** What `doctor` examines in every kind of store. What only one kind has, the store examines itself. */
import { slotAt } from "../../core/slots.ts";
import type { Config } from "../../core/records.ts";
import { FORMAT_VERSION, PERIOD_MS_DEFAULT } from "../../core/records.ts";
import type { Finding, Namespace } from "../../core/store.ts";
import { within } from "../../lib/timers.ts";
import { systemClock } from "../../lib/system-clock.ts";
import { formatDuration } from "../duration.ts";
import { adviceOn, sentenceOf } from "../errors.ts";
import { ANSWER_LIMIT_MS, examineClock, examineRoundTrip, takeSamples } from "./clock.ts";
import { examineFeed } from "./feed.ts";

export interface Subject {
  /** The store's: "mongodb". */
  readonly kind: string;
  readonly name: string;
  /** The period to open the namespace with; undefined: its own. */
  readonly periodMs: number | undefined;
}

/** Four times the default retention, in slots: older records should have been pruned long ago. */
const OLD_SLOTS = 4 * 120;

/** The order of the findings. */
const CHECKS = [
  "server",
  "topology",
  "namespace",
  "feed",
  "change streams",
  "indexes",
  "clock offset",
  "round trip",
  "majority",
  "permissions",
  "lock",
  "storage",
];

/** Checks that have no result before the namespace is set up. */
const OF_WHAT_IS_THERE = new Set(["indexes", "storage", "majority"]);

/** The findings. A store that cannot be opened, does not answer or is not there yet is a finding too. */
export async function examineAll(
  examining: Promise<Finding[] | undefined>,
  store?: string,
): Promise<Finding[]> {
  try {
    const findings = (await examining) ?? [noStore];
    return findings.toSorted((a, b) => CHECKS.indexOf(a.check) - CHECKS.indexOf(b.check));
  } catch (error) {
    const advice = adviceOn(error, store);
    const found = sentenceOf(error);
    return [{ check: "server", level: "error", found, ...(advice === undefined ? {} : { advice }) }];
  }
}

/** What to do where nothing is there: that it was mistyped would look the same. */
const ELSEWHERE = "If a program uses it already, that has another --store or --name.";

const noStore: Finding = {
  check: "server",
  level: "ok",
  found: "There is no store yet: the first process that holds or watches a key creates it.",
  advice: ELSEWHERE,
};

/** All findings. Rejects if the store does not answer from first to last, or refuses. */
export async function examineNamespace(namespace: Namespace, subject: Subject): Promise<Finding[]> {
  const config = await within(systemClock, ANSWER_LIMIT_MS, "config", namespace.config());
  const periodMs = subject.periodMs ?? config?.periodMs ?? PERIOD_MS_DEFAULT;
  const samples = await takeSamples(namespace);
  const { offset, periodMs: scale } = config ?? { offset: 0, periodMs };
  const old = slotAt({ periodMs: scale, offset }, samples.storeMs) - OLD_SLOTS;
  const own = (await namespace.examine?.(old)) ?? [];
  const feed = await examineFeed(namespace, subject.kind);
  // If the store went away in between, that is the only finding.
  await within(systemClock, ANSWER_LIMIT_MS, "time", namespace.time());
  return [
    ...(own.some(({ check }) => check === "server") ? [] : [answers(subject)]),
    ...own.filter(({ check }) => config !== undefined || !OF_WHAT_IS_THERE.has(check)),
    examineConfig(config, subject),
    feed,
    examineClock(samples, periodMs),
    examineRoundTrip(samples, periodMs),
  ];
}

function answers({ kind }: Subject): Finding {
  return { check: "server", level: "ok", found: `The ${kind} store answers.` };
}

function examineConfig(config: Config | undefined, { name, periodMs }: Subject): Finding {
  const check = "namespace";
  if (config === undefined) {
    const found = `"${name}" is not set up yet: the first process that holds or watches a key does that.`;
    return { check, level: "ok", found, advice: ELSEWHERE };
  }
  if (config.version !== FORMAT_VERSION) {
    return {
      check,
      level: "error",
      found: `"${name}" has format version ${config.version}, but this heartbit knows version ${FORMAT_VERSION}.`,
      advice: "Use the same version of heartbit everywhere, or choose another --name.",
    };
  }
  const period = formatDuration(config.periodMs);
  if (periodMs === undefined || periodMs === config.periodMs) {
    return { check, level: "ok", found: `"${name}" has a period of ${period}.` };
  }
  return {
    check,
    level: "error",
    found: `"${name}" has a period of ${period}, not ${formatDuration(periodMs)}: it cannot be opened with that.`,
    advice: "Leave --period (periodMs) out or make it the same, or choose another --name.",
  };
}
