// Every entry point, as a strict program in TypeScript has it.
import { createServer } from "node:http";
import { type Change, type ErrorCode, HeartbitError, type Namespace, Presence, type Store } from "heartbit";
import { dashboard, toNodeListener } from "heartbit/dashboard";
import { registerMetrics } from "heartbit/metrics";
import { ManualClock, MemoryStore } from "heartbit/testing";
import { register } from "prom-client";

const clock = new ManualClock();
const store: Store = new MemoryStore({ clock });
export const namespace: Namespace = store.namespace("n", { periodMs: 1000, retentionSlots: 10 });
const presence = await Presence.open(store, { clock });
presence.watcher().watch({ prefix: "worker/" }, ({ key, alive }: Change) => console.log(key.length, !alive));
presence.on("lapse", ({ from }) => console.log(from.getTime()));
export const takeAway: () => void = registerMetrics(presence, register);
export const handler: (request: Request) => Promise<Response> = dashboard(presence).handler;
export const isKnown = (error: unknown, codes: readonly ErrorCode[]): boolean =>
  error instanceof HeartbitError && codes.includes(error.code);
interface Work {
  readonly queue: string;
}
const typed = await Presence.open<Work>(store, { clock });
await typed.pinger("k", { meta: { queue: "mail" } }).start();
export const queues = (await typed.list()).keys.flatMap(({ holders }) =>
  holders.map(({ meta }) => meta?.queue),
);
// @ts-expect-error -- a queue is a text
typed.pinger("k", { meta: { queue: 5 } });
createServer(toNodeListener(dashboard(presence).handler)).close();
// @ts-expect-error -- there is no such option
await Presence.open(store, { perriodMs: 5000 });
// @ts-expect-error -- a period is a number
await Presence.open(store, { periodMs: "5s" });
// @ts-expect-error -- what is inside stays inside
console.log(presence.pinger("k").close);
