/** Tests whether changes are reported as they happen. */
import { HeartbitError, isHeartbitError, toError } from "../../core/errors.ts";
import { select } from "../../core/selection.ts";
import type { Finding, Namespace } from "../../core/store.ts";
import { within } from "../../lib/timers.ts";
import { systemClock } from "../../lib/system-clock.ts";
import { adviceOn, sentenceOf } from "../errors.ts";
import { ANSWER_LIMIT_MS } from "./clock.ts";

const POLLED = "Changes are polled, and reported up to a quarter of a period late.";

export async function examineFeed(namespace: Namespace, kind: string): Promise<Finding> {
  const check = "feed";
  if (namespace.feed === undefined) {
    return {
      check,
      level: "ok",
      found: `A ${kind} store has none: changes are polled, as intended.`,
    };
  }
  let lost: Error | undefined;
  const feed = namespace.feed(select(["doctor"]), {
    page: () => {},
    lost: (error) => (lost = toError(error)),
  });
  try {
    await within(systemClock, ANSWER_LIMIT_MS, "open a feed", feed.ready);
    if (lost !== undefined) throw new HeartbitError("STORE_UNAVAILABLE", lost.message);
    return { check, level: "ok", found: "Changes are reported as they happen." };
  } catch (error) {
    if (isByDesign(error)) return { check, level: "ok", found: sentenceOf(error) };
    return { check, level: "warning", found: `${sentenceOf(error)} ${POLLED}`, advice: adviceOnFeed(error) };
  } finally {
    await feed.close();
  }
}

/** On a sharded cluster changes are polled: a stream through a router would be slower. */
function isByDesign(error: unknown): boolean {
  return isHeartbitError(error, "UNSUPPORTED_SERVER") && /through a router/.test(error.message);
}

function adviceOnFeed(error: unknown): string {
  if (isHeartbitError(error, "NOT_PERMITTED")) {
    return "Grant the right changeStream on the collection of records.";
  }
  if (!isHeartbitError(error, "UNSUPPORTED_SERVER")) return adviceOn(error) ?? "Check the server's log.";
  return /maxPoolSize/.test(error.message)
    ? "Raise maxPoolSize in the connection string: streams may take half of it, and each watching presence needs one."
    : "Make the server a replica set, even of one member, so that it has change streams.";
}
