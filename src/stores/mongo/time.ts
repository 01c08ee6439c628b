import type { Document } from "mongodb";
import { isHeartbitError } from "../../core/errors.ts";
import type { Context } from "./context.ts";
import { CLOCK_ID, stampOf } from "./documents.ts";
import { askServer } from "./server.ts";
import { upsert } from "./upsert.ts";

/**
 * The store's time now, in ms, stamped into a document by the server that holds the namespace: behind a router that is
 * another clock than the router's, and it is the one that stamps pings. If this user may not write, a router is asked
 * for the shard's clock. If that is not permitted either, and before the namespace is set up, it is the clock of the
 * server that answers.
 */
export async function askTime(context: Context): Promise<number> {
  const { calls, clock, limits, names } = context;
  const { topology } = await context.server();
  if (clock.isSetUp && clock.mayStamp !== false) {
    try {
      // Only the stamp is needed, not a durable document.
      const command = { ...stamping(names.meta), writeConcern: { w: 1 } };
      const ms = stampOf(await upsert(calls.command.bind(calls), "read the time", command, limits.quickMs));
      clock.mayStamp = true;
      clock.sample(ms);
      return ms;
    } catch (error) {
      if (clock.mayStamp === true || !isHeartbitError(error, "NOT_PERMITTED")) throw error;
      clock.mayStamp = false; // it was never permitted: asking again would only fill the server's log
    }
  }
  if (topology === "sharded cluster") {
    const shardMs = clock.isSetUp && clock.mayAskShard ? await askShard(context) : undefined;
    if (shardMs !== undefined) return shardMs;
  }
  const { localTimeMs } = await askServer(calls, limits.quickMs);
  if (topology !== "sharded cluster") clock.sample(localTimeMs);
  return localTimeMs;
}

/** The clock of the shard that stamps pings; undefined if this user may not use `$collStats`. */
async function askShard({ calls, clock, limits, names }: Context): Promise<number | undefined> {
  // The Stable API has only `count`.
  const command = { aggregate: names.pings, pipeline: [{ $collStats: { count: {} } }], cursor: {} };
  try {
    const { cursor }: Document = await calls.command("read the time", command, limits.quickMs);
    const localTime: unknown = cursor?.firstBatch?.[0]?.localTime;
    if (!(localTime instanceof Date)) return undefined;
    clock.sample(localTime.getTime());
    return localTime.getTime();
  } catch (error) {
    if (!isHeartbitError(error, "NOT_PERMITTED")) throw error;
    clock.mayAskShard = false;
    return undefined;
  }
}

/** The command that has the server stamp the document of the clock, and gives the stamp. */
export function stamping(meta: string): Document & { readonly findAndModify: string } {
  return {
    findAndModify: meta,
    query: { _id: CLOCK_ID },
    update: { $currentDate: { now: true } },
    fields: { _id: 0, now: 1 },
  };
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
