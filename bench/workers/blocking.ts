/** A process that holds many keys and watches them, and measures for how long each of its calls keeps the thread busy. */
import { Registry } from "prom-client";
import { dashboard } from "../../src/dashboard/index.ts";
import { Presence } from "../../src/index.ts";
import { registerMetrics } from "../../src/metrics/index.ts";
import { mainThreadMs } from "../measure/cpu.ts";
import { clockMs, wait } from "../measure/time.ts";
import type { Target } from "./million.ts";

export interface ToBlocking {
  readonly target: Target;
  readonly keys: number;
  readonly prefixes: number;
}

export interface Blocked {
  readonly what: string;
  readonly tookMs: number;
  /** The longest turn of the event loop, in ms of CPU of this thread, without what other processes did meanwhile. */
  readonly longestMs: number;
}

const listener = (): void => {};

process.on("message", (message: ToBlocking) => {
  void measureAll(message).then((result) => process.send?.(result));
});
process.once("disconnect", () => process.exit());

async function measureAll({ target, keys: count, prefixes: groups }: ToBlocking): Promise<Blocked[]> {
  const { uri, name, periodMs } = target;
  const presence = await Presence.open(uri, { name, periodMs });
  const viewer = await Presence.open(uri, { name, periodMs });
  const keys = Array.from({ length: count }, (_, index) => `group-${index % groups}/worker-${index}`);
  const prefixes = Array.from({ length: groups }, (_, group) => `group-${group}/`);
  const watcher = viewer.watcher();
  const board = dashboard(viewer);
  const registry = new Registry();
  registerMetrics(viewer, registry);
  const get = async (path: string): Promise<void> => {
    const response = await board.handler(new Request(`http://127.0.0.1${path}`));
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    for await (const _ of response.body ?? []);
  };
  const all: Blocked[] = [];
  const measure = async (what: string, act: () => unknown): Promise<void> => {
    globalThis.gc?.();
    await wait(100);
    all.push(await longestTurn(what, act));
  };
  await measure("`presence.hold` of all keys", () => presence.hold(keys));
  await measure("a watcher of all keys loads them", async () => {
    watcher.watch({ all: true }, listener);
    await watcher.sync();
  });
  await measure("`list()`", () => viewer.list());
  await measure("`list` of a prefix of a tenth", () => viewer.list({ prefix: "group-1" }));
  await measure("the dashboard loads", async () => {
    while (viewer.health.state !== "healthy") await wait(10);
    await get("/api/keys?limit=1");
  });
  await measure("its keys that are dead, of all", () => get("/api/keys?state=dead"));
  await measure("its keys that are alive, all pages of one answer", () =>
    get("/api/keys?state=alive&limit=10000"),
  );
  await measure("its keys with a prefix", () => get("/api/keys?prefix=group-1"));
  await measure("`/metrics`", () => registry.metrics());
  await measure(`watching ${groups.toLocaleString("en-US")} prefixes, in one turn`, async () => {
    for (const prefix of prefixes) watcher.watch({ prefix }, listener);
    await watcher.sync();
  });
  await measure("unwatching half of them, in one turn", async () => {
    for (const prefix of prefixes.slice(groups / 2)) watcher.unwatch({ prefix }, listener);
    await watcher.sync();
  });
  await measure("two periods", () => wait(2 * periodMs));
  await measure("closing the presence that holds them, and the reports of that", async () => {
    await presence.close();
    await wait(periodMs);
  });
  await board.close();
  await viewer.close();
  return all;
}

async function longestTurn(what: string, act: () => unknown): Promise<Blocked> {
  let longestMs = 0;
  let isOver = false;
  let before = mainThreadMs();
  const turn = (): void => {
    const now = mainThreadMs();
    longestMs = Math.max(longestMs, now - before);
    before = now;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  const began = clockMs();
  await act();
  const tookMs = clockMs() - began;
  isOver = true;
  turn();
  return { what, tookMs, longestMs };
}
