/** The dashboard of a presence, as a handler to mount anywhere. */
import { toError } from "../core/errors.ts";
import { internalsOf } from "../presence/internals.ts";
import type { Presence } from "../presence/presence.ts";
import { Board } from "./board.ts";
import { Holds } from "./holds.ts";
import { checkDashboardOptions, type DashboardOptions } from "./options.ts";
import { answerToBug } from "./refusal.ts";
import { makeRoutes } from "./routes.ts";

/** The dashboard of one presence. */
export interface Dashboard {
  /** Answers a request. Never rejects. */
  readonly handler: (request: Request) => Promise<Response>;
  /**
   * Ends the streams and the watcher, and lets go of the keys that are held over HTTP: each stays alive for the rest of
   * its ttl. The presence stays open. Idempotent; never rejects.
   */
  readonly close: () => Promise<void>;
}

/**
 * The dashboard of a presence: mount its handler in your own server, or run `heartbit serve`. One watcher of the
 * presence feeds all clients; closing the presence closes it. Throws `INVALID_OPTION`, `PRESENCE_CLOSED`.
 *
 * ```ts
 * const { handler } = dashboard(presence, { basePath: "/presence", hosts: ["ops.example.net"] });
 * ```
 */
export function dashboard(presence: Presence, options: DashboardOptions = {}): Dashboard {
  const checked = checkDashboardOptions(options);
  const { log } = internalsOf(presence);
  const board = new Board(presence);
  const holds = new Holds(presence);
  const failed = (error: unknown): void => log.error("a request to the dashboard failed", toError(error));
  const routes = makeRoutes({ ...checked, board, holds, failed });
  let closing: Promise<void> | undefined;
  return {
    handler: async (request) => {
      try {
        return await routes.fetch(request);
      } catch (error) {
        failed(error); // not an `Error`: those are answered in the routes
        return answerToBug();
      }
    },
    close() {
      closing ??= Promise.all([board.close(), holds.close()]).then(() => undefined);
      return closing;
    },
  };
}
