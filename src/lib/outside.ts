/** Work that goes on beyond the request that began it. */
import { AsyncResource } from "node:async_hooks";

const outside = new AsyncResource("heartbit");

/**
 * Calls `act` outside of the caller's async context: what it starts would keep the stores of the request in memory, and
 * show them to listeners (`AsyncLocalStorage`).
 */
export function outsideOfRequests<T>(act: () => T): T {
  return outside.runInAsyncScope(act);
}
