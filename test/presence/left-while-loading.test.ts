import { expect, it } from "vitest";
import type { WatchTarget } from "../../src/index.ts";
import { Bench, slicing } from "./support.ts";

const MANY = 600;
const before = (): void => {};

it.each<[string, WatchTarget]>([
  ["all", { all: true }],
  ["a prefix", { prefix: "k" }],
])("what is left and watched again while it is loaded is told whole: %s", async (_name, target) => {
  const bench = new Bench();
  await (await bench.open()).presence.hold(Array.from({ length: MANY }, (_, index) => `k${index}`));
  const clock = slicing(bench.clock);
  const told: number[] = [];
  for (let turns = 0; turns < 20; turns++) {
    const { presence } = await bench.open({ clock });
    const watcher = presence.watcher();
    watcher.watch(target, before);
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    watcher.unwatch(target, before);
    const living = new Set<string>();
    watcher.watch(target, ({ key }) => living.add(key));
    await watcher.sync();
    told.push(living.size);
    await presence.close();
  }
  expect(told).toEqual(told.map(() => MANY));
});
