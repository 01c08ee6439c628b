import { expect, it } from "vitest";
import { type Lapse, Presence } from "../../src/index.ts";
import { ManualClock, MemoryStore } from "../../src/testing/index.ts";
import { hear, PERIOD_MS } from "./support.ts";

// The monotonic clock of Linux stands still while the machine sleeps; only the wall clock has gone on.
it.each([3, 10, 100, 1000])(
  "a machine that slept for %i periods learns that it was told dead",
  async (slept) => {
    const [world, own] = [new ManualClock(), new ManualClock()];
    const store = new MemoryStore({ clock: world });
    const a = await Presence.open(store, { periodMs: PERIOD_MS, clock: own });
    const w = await Presence.open(store, { periodMs: PERIOD_MS, clock: world });
    const together = async (periods: number): Promise<void> => {
      for (let step = 0; step < 20 * periods; step++) {
        await world.advance(PERIOD_MS / 20);
        await own.advance(PERIOD_MS / 20);
      }
    };
    const lapses: Lapse[] = [];
    a.on("lapse", (lapse) => lapses.push(lapse));
    await a.pinger("k").start();
    const hearing = hear(w.watcher(), "k");
    await together(5);
    const heard = await hearing;
    const asleep = own.now();
    await world.advance(slept * PERIOD_MS);
    own.step(slept * PERIOD_MS);
    expect(a.vouchedUntil?.getTime()).toBeLessThan(own.now());
    await together(6);
    expect(heard).toEqual(["k alive initial", "k dead expired", "k alive joined"]);
    expect(lapses).toHaveLength(1);
    const [{ from, to } = { from: new Date(NaN), to: new Date(NaN) }] = lapses;
    expect(Math.abs(from.getTime() - asleep)).toBeLessThan(PERIOD_MS);
    expect(Math.abs(to.getTime() - asleep - slept * PERIOD_MS)).toBeLessThan(PERIOD_MS);
  },
);
