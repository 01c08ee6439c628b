/** The store's time. */
import { isHeartbitError } from "../../core/errors.ts";
import type { Context } from "./context.ts";
import { CLOCK_ID, stampOf } from "./documents.ts";
import { askServer } from "./server.ts";
import { upsert } from "./upsert.ts";

/**
 * Returns the store's time now, in ms, stamped into a document by the server that holds the namespace. Behind a router
 * this is another clock than the router's, and it is the one that stamps pings. If this user may not write, it is the
 * clock of the server that answers.
 */
export async function askTime(context: Context): Promise<number> {
  const { calls, clock, limits, names } = context;
  const { topology } = await context.server();
  if (clock.mayStamp !== false) {
    try {
      const command = {
        findAndModify: names.meta,
        query: { _id: CLOCK_ID },
        update: { $currentDate: { now: true } },
        fields: { _id: 0, now: 1 },
        writeConcern: { w: 1 }, // only the stamp is needed, not a durable document
      };
      const ms = stampOf(await upsert(calls.command.bind(calls), "tell the time", command, limits.quickMs));
      clock.mayStamp = true;
      clock.sample(ms);
      return ms;
    } catch (error) {
      if (clock.mayStamp === true || !isHeartbitError(error, "NOT_PERMITTED")) throw error;
      clock.mayStamp = false; // it was never permitted: asking again would only fill the server's log
    }
  }
  const { localTimeMs } = await askServer(calls, limits.quickMs);
  if (topology !== "sharded cluster") clock.sample(localTimeMs);
  return localTimeMs;
}

/**
 * Returns a time, in ms, that the clock which stamps the namespace has reached. Asks the server only if the latest
 * sample is too old, and once for all concurrent callers.
 */
export async function reachedMs(context: Context): Promise<number> {
  const { clock } = context;
  const reached = clock.reached();
  if (reached !== undefined) return reached;
  clock.asking ??= askTime(context).finally(() => {
    clock.asking = undefined;
  });
  return clock.asking;
}
