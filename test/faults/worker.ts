/**
 * One process of the fleet: holds keys, watches, does what it is told, and logs all that happens to it, each line
 * written before it goes on, so that a kill loses nothing.
 */
import { openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import type * as Library from "../../src/index.ts";
import { now, type WorkerLine } from "./log.ts";

export interface WorkerSettings {
  readonly built: string;
  readonly log: string;
  readonly target: string;
  readonly options: Library.PresenceOptions;
  readonly keys: readonly string[];
  /** Prefixes; "" is everything. */
  readonly watched: readonly string[];
}

/** What a process can be told to do. */
export type Order =
  | { readonly do: "busy"; readonly ms: number }
  /** Writes without a pause, until its end. */
  | { readonly do: "write" }
  | { readonly do: "restart"; readonly key: number; readonly how: "kill" | "stop"; readonly backMs: number }
  | { readonly do: "kill other"; readonly key: string }
  | { readonly do: "close"; readonly linger: boolean };

const settings = JSON.parse(process.argv[2] ?? "{}") as WorkerSettings;
const { periodMs = 5000 } = settings.options;
/** How often it looks at what cannot be listened to. Fifty processes wake up for it. */
const TICK_MS = periodMs / 20;
/** Others may hear of a new session soon, and the process may be stopped then. */
const SESSION_MS = 20;
const { Presence, HeartbitError } = (await import(
  pathToFileURL(join(settings.built, "index.js")).href
)) as typeof Library;

const file = openSync(settings.log, "a");
type Unstamped<Line> = Line extends WorkerLine ? Omit<Line, "t"> : never;

function log(line: Unstamped<WorkerLine>): void {
  writeSync(file, `${JSON.stringify({ t: now(), ...line })}\n`);
}

log({ e: "begin", pid: process.pid });
process.on("uncaughtException", (error) => log({ e: "broken", why: `uncaught: ${error.stack}` }));
process.on("unhandledRejection", (error) => log({ e: "broken", why: `unhandled: ${String(error)}` }));
process.on("warning", ({ name, message }) => log({ e: "broken", why: `warning: ${name}: ${message}` }));
process.on("disconnect", () => process.exit());

let isClosing = false;
let turned = now();
let vouched = NaN;
let session: number | undefined;
/** How many times each key was started. */
const starts = new Map<string, number>();
const presence = await open();
log({ e: "opened" });
presence.on("lapse", () => log({ e: "lapse" }));
presence.on("health", ({ state, reason }) =>
  log({ e: "health", state, ...(reason === undefined ? {} : { reason }) }),
);
const pingers = settings.keys.map((key) => {
  const pinger = presence.pinger(key, { meta: { pid: process.pid } });
  return pinger.on("killed", () => log({ e: "killed", key }));
});
setInterval(tick, TICK_MS);
setInterval(noteSession, SESSION_MS);
setInterval(() => log({ e: "turns" }), periodMs);
for (const prefix of settings.watched) void watch(prefix);
process.on("message", (order: Order) => {
  void obey(order).catch((error: unknown) => log({ e: "refused", why: String(error) }));
});
await Promise.all(pingers.map(start)).catch((error: unknown) => {
  if (!isClosing) throw error; // it was told to close before its keys were held
});
process.send?.("ready");

async function open(): Promise<Library.Presence> {
  for (; ; await after(periodMs / 20)) {
    try {
      return await Presence.open(settings.target, settings.options);
    } catch (error) {
      if (!(error instanceof HeartbitError) || error.code !== "STORE_UNAVAILABLE") {
        log({ e: "broken", why: `open: ${String(error)}` });
        process.exit(1);
      }
      log({ e: "refused", why: error.message });
    }
  }
}

async function watch(prefix: string): Promise<void> {
  const watcher = presence.watcher();
  const target = prefix === "" ? { all: true as const } : { prefix };
  log({ e: "watches", id: prefix, target });
  watcher.watch(target, ({ key, alive, cause, holders }) => {
    const who = holders.map(({ session: holder, since, meta }) => {
      return { session: holder, since: since.getTime(), meta: JSON.stringify(meta) };
    });
    log({ e: "reported", id: prefix, change: { key, alive, cause, holders: who } });
  });
  await watcher.dead;
  if (!isClosing) log({ e: "broken", why: `a watcher died: ${watcher.error?.message}` });
}

async function start(pinger: Library.Pinger): Promise<void> {
  const { key } = pinger;
  const n = (starts.get(key) ?? 0) + 1;
  starts.set(key, n);
  log({ e: "starting", key, n });
  await pinger.start();
  tick();
  noteSession();
  log({ e: "started", key, n });
}

async function obey(order: Order): Promise<void> {
  if (order.do === "busy") {
    noteSession();
    for (const end = now() + order.ms; now() < end;);
  } else if (order.do === "write") {
    for (let n = 0; presence.session !== undefined; n++)
      await Promise.all(pingers.map((pinger) => pinger.update({ n })));
  } else if (order.do === "restart") {
    const pinger = pingers[order.key % pingers.length];
    if (pinger === undefined || pinger.state !== "started") return;
    const { key } = pinger;
    const n = starts.get(key) ?? 0;
    log({ e: "ending", key, n, how: order.how === "kill" ? "killed" : "stopped" });
    await pinger[order.how]();
    log({ e: "ended", key, n });
    await after(order.backMs);
    if (!isClosing) await start(pinger);
  } else if (order.do === "kill other") {
    log({ e: "kills", key: order.key });
    await presence.kill(order.key);
    log({ e: "has killed", key: order.key });
  } else {
    isClosing = true;
    log({ e: "closing", linger: order.linger });
    await presence.close({ linger: order.linger });
    log({ e: "closed" });
    process.disconnect();
  }
}

/** Logs what cannot be listened to. */
function tick(): void {
  const t = now();
  if (t - turned > TICK_MS + periodMs / 20) log({ e: "late", from: turned });
  turned = t;
  const until = presence.vouchedUntil;
  const monotonic = until === null ? NaN : until.getTime() - Date.now() + t;
  if (Math.abs(monotonic - vouched) > 10 || Number.isNaN(monotonic) !== Number.isNaN(vouched)) {
    vouched = monotonic;
    if (!Number.isNaN(monotonic)) log({ e: "lease", until: monotonic });
  }
}

function noteSession(): void {
  if (presence.session === session) return;
  session = presence.session;
  log({ e: "session", session: session ?? null });
}
