// Measures a store, and prints figures as JSON: how soon a watcher in another process is told of joins, kills and
// closes; how long 10,000 pingers take to start; how long watchers take to load.
//
//   npm run build && node bench/measure.mjs TARGET [auto|poll]
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Presence } from "../dist/index.js";

// Without a feed each round takes as long as a poll.
const ROUNDS = process.argv[3] === "poll" || process.argv[2]?.startsWith("lmdb:") ? 30 : 300;
const KEYS = 10_000;
const PERIOD_MS = 5000;

const [target, feed = "auto", role] = process.argv.slice(2);
if (target === undefined) {
  console.error("usage: node bench/measure.mjs TARGET [auto|poll]");
  process.exit(2);
}
const name = process.env.HEARTBIT_NAME ?? `measure-${process.pid}`;
const presence = await Presence.open(target, { name, periodMs: PERIOD_MS, feed });
if (role === "watch") await watch();
else await measure();

/** The watcher's process: it says when it was told what, by the clock that all processes of a machine share. */
async function watch() {
  const watcher = presence.watcher();
  watcher.watch({ prefix: "one/" }, ({ key, alive }) => process.send({ key, alive, at: clock() }));
  await watcher.sync();
  process.send({ ready: true });
  await once(process, "disconnect");
  await presence.close();
}

async function measure() {
  const child = fork(fileURLToPath(import.meta.url), [target, feed, "watch"], {
    env: { ...process.env, HEARTBIT_NAME: name },
  });
  const told = new Map();
  let ready;
  const isReady = new Promise((resolve) => (ready = resolve));
  child.on("message", (message) =>
    message.ready ? ready() : told.get(`${message.key} ${message.alive}`)?.(message.at),
  );
  await isReady;
  const figures = { join: [], kill: [], close: [] };
  for (let round = 0; round < ROUNDS; round++) {
    const pinger = presence.pinger(`one/${round}`);
    figures.join.push(await delay(told, pinger.key, true, () => pinger.start()));
    figures.kill.push(await delay(told, pinger.key, false, () => pinger.kill()));
  }
  for (let round = 0; round < 10; round++) {
    const other = await Presence.open(target, { name, periodMs: PERIOD_MS, feed });
    const key = `one/closed-${round}`;
    await delay(told, key, true, () => other.pinger(key).start());
    figures.close.push(await delay(told, key, false, () => other.close()));
  }
  child.disconnect();
  await once(child, "exit");

  const starting = clock();
  await Promise.all(Array.from({ length: KEYS }, (_, index) => presence.pinger(`many/${index}`).start()));
  const started = clock();
  const reader = await Presence.open(target, { name, periodMs: PERIOD_MS, feed });
  const loadAll = await load(reader, { all: true });
  const loadOne = await load(reader, "many/7");
  await reader.close();
  await presence.drop();
  await presence.close();
  const notice = Object.fromEntries(Object.entries(figures).map(([what, ms]) => [what, quantiles(ms)]));
  console.log(
    JSON.stringify({
      feed,
      noticeMs: notice,
      start10000Ms: round1(started - starting),
      loadAllOf10000Ms: loadAll,
      loadOneOf10000Ms: loadOne,
    }),
  );
}

/** From the call to the telling, in ms. */
async function delay(told, key, alive, act) {
  const isTold = new Promise((resolve) => told.set(`${key} ${alive}`, resolve));
  const began = clock();
  await act();
  return (await isTold) - began;
}

async function load(reader, what) {
  const watcher = reader.watcher();
  const began = clock();
  watcher.watch(what, () => {});
  await watcher.sync();
  const tookMs = clock() - began;
  await watcher.stop();
  return round1(tookMs);
}

function clock() {
  return performance.timeOrigin + performance.now();
}

function quantiles(ms) {
  const sorted = ms.toSorted((a, b) => a - b);
  const at = (part) => round1(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]);
  return { p50: at(0.5), p99: at(0.99), max: at(1), rounds: ms.length };
}

function round1(ms) {
  return Math.round(ms * 10) / 10;
}
