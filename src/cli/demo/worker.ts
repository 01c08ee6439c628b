/** A worker of the demo: a process of its own that holds one key and carries out orders. It ends with the demo. */
import { systemClock } from "../../lib/system-clock.ts";
import type { Pinger } from "../../presence/pinger.ts";
import { Presence } from "../../presence/presence.ts";
import { Sleeper } from "../../lib/timers.ts";
import type { Message, Order } from "./protocol.ts";

let presence: Presence | undefined;
let pinger: Pinger | undefined;
let guarded: number | undefined;

/** Returns when it was done. */
async function obey(order: Order): Promise<number> {
  if (order.do === "start") {
    const { store, name, periodMs, key } = order;
    presence = await Presence.open(store, { name, periodMs });
    presence.on("lapse", ({ from, to }) => {
      send({ kind: "lapse", fromMs: from.getTime(), toMs: to.getTime() });
    });
    pinger = presence.pinger(key);
    await pinger.start();
    return systemClock.now();
  }
  const atMs = systemClock.now();
  if (order.do === "stop") await pinger?.stop();
  else if (order.do === "kill") await pinger?.kill();
  else if (order.do === "guard") guarded = order.pid;
  else if (order.do === "end") await presence?.close();
  else if (order.do === "restart") {
    await pinger?.stop();
    await new Sleeper(systemClock).sleep(order.afterMs);
    await pinger?.start();
  }
  return atMs;
}

function send(message: Message): void {
  process.send?.(message, undefined, undefined, () => {}); // `disconnect` reports a demo that has gone
}

async function answer(order: Order): Promise<void> {
  try {
    const atMs = await obey(order);
    const vouchedUntilMs = presence?.vouchedUntil?.getTime() ?? atMs;
    send({ kind: "done", atMs, vouchedUntilMs });
  } catch (error) {
    send({ kind: "failed", reason: error instanceof Error ? error.message : String(error) });
  }
  if (order.do === "end") process.disconnect();
}

let orders: Promise<void> = Promise.resolve();
process.on("message", (order: Order) => {
  orders = orders.then(() => answer(order));
});
// Ctrl-C reaches all processes of a terminal: the demo gets it too, and ends its workers in order.
process.on("SIGINT", () => {});
process.on("disconnect", () => {
  try {
    if (guarded !== undefined) process.kill(guarded, "SIGCONT");
  } catch {
    // It is gone already.
  }
  process.exit(0);
});
