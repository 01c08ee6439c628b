/** Many keys held together, by `presence.hold`. */
import { expect, it } from "vitest";
import { hear, refusal, slicing, texts } from "./support.ts";
import { bench, other, presence } from "./two-presences.ts";

/** The live keys, with their metas. */
async function alive(): Promise<unknown> {
  const { keys } = await other.list();
  return Object.fromEntries(
    keys.filter((one) => one.alive).map(({ key, holders }) => [key, holders[0]?.meta]),
  );
}

it("others see the keys with their metas, those that come later, and new metas", async () => {
  const holding = await presence.hold(["a", { key: "b", meta: { room: 1 } }]);
  expect(await alive()).toEqual({ a: null, b: { room: 1 } });
  await holding.add(new Set(["c", "a"]));
  await holding.add([{ key: "a", meta: "x" }]);
  await holding.update("b", { room: 2 });
  await holding.update("nobody's", 1);
  expect(holding.size).toBe(3);
  expect(await alive()).toEqual({ a: "x", b: { room: 2 }, c: null });
});

it("keys that leave are dead at once, and may be held again", async () => {
  const holding = await presence.hold(["a", "b", "c"]);
  const heard = await hear(other.watcher(), "a");
  await holding.leave(["a", "unknown"]);
  await bench.periods(0.25);
  expect(heard.at(-1)).toBe("a dead killed");
  await holding.add(["a"]);
  await bench.periods(0.25);
  expect(heard.at(-1)).toBe("a alive joined");
  await holding.leave();
  expect([holding.size, await alive()]).toEqual([0, {}]);
});

it("calls take effect in their order, without being awaited", async () => {
  const holding = await presence.hold([]);
  const started = [holding.add(["a", "b"]), holding.leave(["a"]), holding.update("b", 1)];
  await Promise.all([...started, holding.add(["c"]), holding.update("c", 2)]);
  expect(await alive()).toEqual({ b: 1, c: 2 });
});

it("a key that another process killed is taken up again", async () => {
  await presence.hold(["a", "b"]);
  const heard = await hear(other.watcher(), "a");
  await other.kill("a");
  await bench.periods(2);
  expect(heard.slice(-2)).toEqual(["a dead killed", "a alive joined"]);
  expect(await alive()).toEqual({ a: null, b: null });
});

it("with an invalid key or meta among them none is held", async () => {
  const wrong: [unknown, string][] = [
    [["a", ""], "INVALID_KEY"],
    [["a", { key: "b", meta: () => {} }], "INVALID_META"],
    [[{ name: "a" }], "INVALID_OPTION"],
    ["abc", "INVALID_OPTION"],
  ];
  for (const [keys, code] of wrong) await expect(presence.hold(keys as never)).rejects.toEqual(refusal(code));
  expect(await alive()).toEqual({});
});

it("long lists are worked through in slices", async () => {
  const { presence: slicer } = await bench.open({ clock: slicing(bench.clock) });
  let turns = 0;
  const count = (): void => void (turns++, setImmediate(count).unref());
  setImmediate(count).unref();
  const holding = await slicer.hold(texts(500, "key/"));
  expect(turns).toBeGreaterThan(500);
  turns = 0;
  await holding.leave();
  expect(turns).toBeGreaterThan(400);
});
