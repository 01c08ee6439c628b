/** Holds a key while a command runs. */
import { HeartbitError } from "../core/errors.ts";
import { systemClock } from "../lib/system-clock.ts";
import type { Pinger } from "../presence/pinger.ts";
import type { Presence } from "../presence/presence.ts";
import { within } from "../lib/timers.ts";
import { printable } from "./text.ts";

/** How long to wait at most until others can see the key, in ms, or in periods if that is longer. */
const START_LIMIT_MS = 5000;
const START_LIMIT_PERIODS = 2;

/** An event of a key. `held`: others can see it. `dropped`: the namespace is gone, and the key is not held any more. */
export type HoldEvent =
  | { readonly event: "held"; readonly key: string; readonly session: number | undefined }
  | { readonly event: "killed"; readonly key: string }
  | { readonly event: "dropped"; readonly key: string }
  | { readonly event: "lapse"; readonly key: string; readonly from: Date; readonly to: Date }
  | { readonly event: "ended"; readonly key: string };

/**
 * Starts to hold the key, and calls `notify` for each event from then on. Rejects with `STORE_UNAVAILABLE` if others
 * cannot see the key in time.
 */
export async function hold(
  presence: Presence,
  { key, meta }: { readonly key: string; readonly meta?: unknown },
  notify: (event: HoldEvent) => void,
): Promise<Pinger> {
  const pinger = presence.pinger(key, { meta });
  presence.on("lapse", ({ from, to }) => notify({ event: "lapse", key, from, to }));
  pinger.on("killed", () => notify({ event: pinger.state === "started" ? "killed" : "dropped", key }));
  const limitMs = Math.max(START_LIMIT_MS, START_LIMIT_PERIODS * presence.periodMs);
  await within(systemClock, limitMs, `start to hold ${JSON.stringify(key)}`, pinger.start());
  if (pinger.state !== "started") throw new HeartbitError("STORE_UNAVAILABLE", "The key could not be held.");
  notify({ event: "held", key, session: presence.session });
  return pinger;
}

export function describeHold(event: HoldEvent): string {
  const key = printable(event.key);
  if (event.event === "held") return `Holding ${key} (session ${event.session}).`;
  if (event.event === "killed") return `Another process reported ${key} dead; it is taken up again.`;
  if (event.event === "dropped") return `Another process dropped the namespace: ${key} is not held any more.`;
  if (event.event === "ended") return `${key} is ended.`;
  return `No ping went through since ${event.from.toISOString()}: others may have reported ${key} dead.`;
}
