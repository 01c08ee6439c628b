/** Many keys held together, by `presence.hold`. */
import { expect, it } from "vitest";

import { hear, PERIOD_MS, refusal, slicing } from "./support.ts";
import { bench, other, presence } from "./two-presences.ts";

/** The live keys, with their metas. */
async function alive(): Promise<unknown[]> {
  const { keys } = await other.list();
  return keys.filter((state) => state.alive).map(({ key, holders }) => [key, holders[0]?.meta]);
}

it("others see the keys with their metas, those that come later, and new metas", async () => {
  const holding = await presence.hold(["a", { key: "b", meta: { room: 1 } }]);
  expect(await alive()).toEqual([
    ["a", null],
    ["b", { room: 1 }],
  ]);
  await holding.add(new Set(["c", "a"]));
  await holding.add([{ key: "a", meta: "x" }]);
  await holding.update("b", { room: 2 });
  await holding.update("nobody's", 1);
  expect(holding.size).toBe(3);
  expect(await alive()).toEqual([
    ["a", "x"],
    ["b", { room: 2 }],
    ["c", null],
  ]);
});

it("keys that leave are dead at once, and may be held again", async () => {
  const holding = await presence.hold(["a", "b", "c"]);
  const heard = await hear(other.watcher(), "a");
  await holding.leave(["a", "unknown"]);
  await bench.clock.advance(PERIOD_MS / 4);
  expect(heard.at(-1)).toBe("a dead killed");
  await holding.add(["a"]);
  await bench.clock.advance(PERIOD_MS / 4);
  expect(heard.at(-1)).toBe("a alive joined");
  await holding.leave();
  expect([holding.size, await alive()]).toEqual([0, []]);
});

it("calls take effect in their order, without being awaited", async () => {
  const holding = await presence.hold([]);
  const started = [holding.add(["a", "b"]), holding.leave(["a"]), holding.update("b", 1)];
  await Promise.all([...started, holding.add(["c"]), holding.update("c", 2)]);
  expect(await alive()).toEqual([
    ["b", 1],
    ["c", 2],
  ]);
});

it("a key that another process killed is taken up again", async () => {
  await presence.hold(["a", "b"]);
  const heard = await hear(other.watcher(), "a");
  await other.kill("a");
  await bench.periods(2);
  expect(heard.slice(-2)).toEqual(["a dead killed", "a alive joined"]);
  expect(await alive()).toHaveLength(2);
});

it("with an invalid key or meta among them none is held", async () => {
  await expect(presence.hold(["a", ""])).rejects.toEqual(refusal("INVALID_KEY"));
  await expect(presence.hold(["a", { key: "b", meta: () => {} }])).rejects.toEqual(refusal("INVALID_META"));
  await expect(presence.hold([{ name: "a" } as never])).rejects.toEqual(refusal("INVALID_OPTION"));
  await expect(presence.hold("abc" as never)).rejects.toEqual(refusal("INVALID_OPTION"));
  expect(await alive()).toEqual([]);
});

it("after the namespace was dropped nothing is held; after close nothing can be", async () => {
  const holding = await presence.hold(["a", "b"]);
  await other.drop();
  await bench.periods(6);
  expect(holding.size).toBe(0);
  await expect(holding.add(["c"])).rejects.toEqual(refusal("CONFIG_MISMATCH"));
  await presence.close();
  await expect(holding.add(["c"])).rejects.toEqual(refusal("PRESENCE_CLOSED"));
  await expect(presence.hold(["c"])).rejects.toEqual(refusal("PRESENCE_CLOSED"));
});

it("long lists are worked through in slices", async () => {
  const { presence: slicer } = await bench.open({ clock: slicing(bench.clock) });
  let turns = 0;
  const count = (): void => void (turns++, setImmediate(count).unref());
  setImmediate(count).unref();
  const holding = await slicer.hold(Array.from({ length: 500 }, (_, index) => `key/${index}`));
  expect(turns).toBeGreaterThan(500);
  turns = 0;
  await holding.leave();
  expect(turns).toBeGreaterThan(400);
});
