/**
 * One process of the soak: node --expose-gc worker.js TARGET OPTIONS NAME. It makes every use of heartbit that a
 * program could make for years, over and over, and tells its parent how much it holds when it is asked.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import type * as Library from "../../../src/index.ts";

const { Presence, HeartbitError } = (await import(
  pathToFileURL(join(process.env["HEARTBIT_BUILT"] ?? "", "index.js")).href
)) as typeof Library;

const [target = "", optionsText = "{}", name = ""] = process.argv.slice(2);
const options = JSON.parse(optionsText) as Library.PresenceOptions;
/** How many keys it holds at a time, and how many names it has for them. */
const KEYS_HELD = 20;
const KEYS = 100;
const STEP_MS = 250;

const held: Library.Pinger[] = [];
const counts = { changes: 0, churned: 0, opened: 0, lapses: 0, failed: 0 };
let step = 0;

process.on("warning", ({ name: kind, message }) => process.send?.({ warning: `${kind}: ${message}` }));
process.on("disconnect", () => process.exit());
const presence = await open();
presence.on("lapse", () => counts.lapses++);
const watcher = presence.watcher();
watcher.watch({ all: true }, () => counts.changes++);
process.on("message", () => process.send?.({ values: weigh(), counts }));
void iterate();
for (; ; await after(STEP_MS)) {
  step++;
  try {
    await changeKeys();
    if (step % 10 === 0) await look();
    if (step % 30 === 0) await openAnother();
  } catch (error) {
    note(error);
  }
}

async function open(): Promise<Library.Presence> {
  for (;;) {
    try {
      return await Presence.open(target, options);
    } catch (error) {
      note(error);
    }
  }
}

/** A machine that is busy may be late for a period of 100 ms; nothing else may fail. */
function note(error: unknown): void {
  counts.failed++;
  if (!(error instanceof HeartbitError) || error.code !== "STORE_UNAVAILABLE") throw error;
}

async function changeKeys(): Promise<void> {
  counts.churned++;
  const pinger = presence.pinger(`${name}/${step % KEYS}`, { meta: { step } });
  held.push(pinger);
  await pinger.start();
  await held[step % held.length]?.update({ step, at: Date.now() });
  if (held.length <= KEYS_HELD) return;
  const oldest = held.shift();
  if (step % 3 === 0) await oldest?.kill();
  else await oldest?.stop(step % 3 === 1 ? {} : { holdMs: 500 });
}

function listener(): void {}

/** Watches, and ceases to; lists; asks. */
async function look(): Promise<void> {
  const other = presence.watcher();
  other.watch(`${name}/${step % KEYS}`, listener);
  other.watch({ prefix: `${name}/1` }, listener);
  await other.alive(`${name}/${(step + 7) % KEYS}`);
  await other.sync();
  other.unwatch(`${name}/${step % KEYS}`, listener);
  await other.stop();
  await presence.list({ prefix: name });
  await presence.kill(`${name}/nobody`);
}

async function openAnother(): Promise<void> {
  counts.opened++;
  const controller = new AbortController();
  const other: Library.Presence = await Presence.open(target, { ...options, signal: controller.signal });
  await other.pinger(`${name}/guest`).start();
  const stream = other.watcher().changes({ prefix: name });
  await stream.next();
  if (step % 60 === 0) await other.close({ linger: step % 120 === 0 });
  else controller.abort();
  await other.close();
}

/** Iterators, each for some hundred changes, the current state among them. */
async function iterate(): Promise<void> {
  for (;;) {
    let left = 300;
    for await (const _ of watcher.changes({ prefix: "" })) if (--left === 0) break;
    // Else, with many live keys, one that finds all loaded would follow the other without a turn of the event loop.
    await after(STEP_MS);
  }
}

/** What it holds, after the garbage is collected. */
function weigh(): Record<string, number> {
  globalThis.gc?.();
  const { heapUsed, rss, external } = process.memoryUsage();
  const resources = process.getActiveResourcesInfo();
  const timers = resources.filter((kind) => kind === "Timeout").length;
  return {
    [`heap of ${name}, MB`]: heapUsed / 2 ** 20,
    [`external memory of ${name}, MB`]: external / 2 ** 20,
    [`resident memory of ${name}, MB`]: rss / 2 ** 20,
    [`handles of ${name}`]: resources.length - timers,
    [`timers of ${name}`]: timers,
    [`file descriptors of ${name}`]: process.platform === "linux" ? readdirSync("/proc/self/fd").length : 0,
  };
}
