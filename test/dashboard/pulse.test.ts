import { describe, expect, it } from "vitest";
import { SEGMENT_WORDS, hasBit } from "../../src/core/bits.ts";
import { newStage, type Stage } from "./support.ts";

interface View {
  readonly read: number;
  readonly slot: number;
  readonly slotMs: number;
  readonly nextMs: number;
  readonly error?: string;
  readonly own: number;
  readonly processes: { session: number; host: string; pid: number; ended?: string }[];
  readonly pings: { slot: number; segment: number; bits: string; late?: string }[];
}

const view = async ({ json }: Stage, after = 0): Promise<View> =>
  (await json(`/api/pulse?after=${after}`)) as View;

/** The slots in which the session pinged, counted from the latest read slot. */
function slotsOf({ pings, slot: latest }: View, session: number, which: "bits" | "late" = "bits"): number[] {
  return pings
    .filter(({ [which]: text, slot, segment }) => {
      if (text === undefined) return false;
      const bytes = Buffer.from(text, "base64");
      const words = Int32Array.from({ length: SEGMENT_WORDS }, (_, at) => bytes.readInt32LE(at * 4));
      return hasBit({ slot, segment, words }, session);
    })
    .map(({ slot }) => slot - latest)
    .toSorted((a, b) => a - b);
}

describe("GET /api/pulse", () => {
  it("returns which sessions pinged in which slot, and the processes without a key", async () => {
    const stage = await newStage();
    const [pinger] = (await stage.hold(["a"])).pingers;
    await stage.bench.periods(2.7);
    const seen = await view(stage);
    expect(seen.slotMs).toBe(Math.floor(stage.bench.clock.now() / 5000) * 5000);
    expect(seen.own).toBe(stage.presence.session);
    expect(slotsOf(seen, 2)).toEqual([-3, -2, -1, 0]);
    const host = expect.any(String) as string;
    expect(seen.processes).toEqual([{ session: seen.own, host, pid: process.pid }]);
    await pinger?.kill();
    await stage.bench.periods(1);
    const { processes } = await view(stage);
    expect(processes.find(({ session }) => session === 2)).toMatchObject({ ended: "killed" });
  });

  it("says of a process how its keys died, whoever holds on to one of them", async () => {
    const stage = await newStage();
    const { presence: one } = await stage.hold(["own", "shared"]);
    await stage.hold(["shared"]);
    await one.close();
    await stage.bench.periods(1);
    const ended = async (session: number): Promise<string | undefined> =>
      (await view(stage)).processes.find((process) => process.session === session)?.ended;
    expect([await ended(2), await ended(3)]).toEqual(["killed", undefined]);
    const { presence: third, pingers } = await stage.hold(["shared"]);
    await pingers[0]?.kill();
    await stage.bench.periods(1);
    expect(await ended(4)).toBe("gone");
    await third.close();
    await stage.bench.periods(1);
    expect(await ended(4)).toBe("closed");
  });

  it("tells a watcher that was closed from one that crashed, also while nobody looked", async () => {
    const stage = await newStage();
    const open = async (): ReturnType<typeof stage.bench.open> => {
      const opened = await stage.bench.open();
      opened.presence.watcher().watch({ all: true }, () => {});
      return opened;
    };
    const [closed, crashed] = [await open(), await open()];
    await stage.bench.periods(1);
    const sessions = [closed, crashed].map(({ presence }) => presence.session);
    const ended = async (): Promise<unknown[]> => {
      const { processes } = await view(stage);
      const found = sessions.map((session) => processes.find((process) => process.session === session));
      return found.map((process) => [process?.pid, process?.ended]);
    };
    const [pid] = [process.pid];
    expect(await ended()).toEqual([
      [pid, undefined],
      [pid, undefined],
    ]);
    crashed.link.fail();
    await closed.presence.close();
    await stage.bench.periods(8);
    const after = [
      [pid, "closed"],
      [pid, undefined],
    ];
    expect(await ended()).toEqual(after);
    await stage.bench.periods(1);
    expect(await ended()).toEqual(after);
  });

  it("returns only changes, if requested, and everything after a read of another server", async () => {
    const stage = await newStage();
    await stage.bench.periods(5.7);
    const first = await view(stage);
    expect(first.pings.length).toBeGreaterThan(4);
    expect((await view(stage, first.read)).pings).toEqual([]);
    await stage.bench.periods(1);
    const second = await view(stage, first.read);
    expect(second.pings.map(({ slot }) => slot)).toEqual([second.slot]);
    expect((await view(stage, 999_999)).pings).toEqual((await view(stage)).pings);
  });

  it("shows a ping that came after its slot was read as late, and a slot without one as a gap", async () => {
    const stage = await newStage();
    const { presence: holder, link } = await stage.bench.open();
    await holder.pinger("a").start();
    await stage.bench.periods(2);
    await view(stage);
    link.fail();
    await stage.bench.periods(0.65);
    expect(slotsOf(await view(stage), 2)).not.toContain(0);
    link.heal();
    await stage.bench.periods(1); // it tries again within the slot
    const late = await view(stage);
    expect(slotsOf(late, 2, "late")).toEqual([-1]);
    expect(slotsOf(late, late.own, "late")).toEqual([]);
    link.fail();
    await stage.bench.periods(2);
    expect(slotsOf(await view(stage), 2)).not.toContain(0);
  });

  it("reads once a slot however many ask, when it says, and not at all while nobody asks", async () => {
    const stage = await newStage();
    await stage.bench.periods(1);
    const { read: before, nextMs } = await view(stage);
    const reads = async (): Promise<number[]> => {
      const views = await Promise.all([view(stage), view(stage), view(stage)]);
      return views.map(({ read }) => read - before);
    };
    await stage.bench.clock.advance(nextMs - 1);
    expect(await reads()).toEqual([0, 0, 0]);
    await stage.bench.clock.advance(2);
    expect(await reads()).toEqual([1, 1, 1]);
    await stage.bench.periods(50);
    expect(await reads()).toEqual([2, 2, 2]);
    // Nothing that was not looked at meanwhile is missing.
    const seen = await view(stage);
    expect(slotsOf(seen, seen.own)).toHaveLength(53);
  });

  it("returns what it knows, and why that is old, if the store does not answer", async () => {
    const stage = await newStage();
    await stage.bench.periods(2);
    const before = await view(stage);
    stage.link.fail();
    await stage.bench.periods(1);
    const after = await view(stage);
    expect(after.error).toMatch(/./);
    expect(after.pings).toEqual(before.pings);
    stage.link.heal();
    await stage.bench.periods(1);
    expect((await view(stage)).error).toBe(undefined);
  });

  it("costs little for each who asks, however many processes there are", async () => {
    const stage = await newStage();
    const slot = Math.floor(stage.bench.clock.now() / 5000);
    for (let at = slot - 118; at <= slot + 1; at++) {
      await Promise.all(Array.from({ length: 6000 }, (_, seq) => stage.bench.stored.ping(at, seq)));
    }
    await stage.bench.periods(1);
    expect((await view(stage)).pings).toHaveLength(720);
    const before = process.cpuUsage();
    for (let asked = 0; asked < 20; asked++) await (await stage.order("/api/pulse")).text();
    expect(process.cpuUsage(before).user / 1000 / 20).toBeLessThan(12);
  });

  it("keeps 120 slots", async () => {
    const stage = await newStage();
    await stage.bench.periods(10);
    await view(stage);
    await stage.bench.periods(125.7);
    const { pings } = await view(stage);
    expect(new Set(pings.map(({ slot }) => slot)).size).toBe(120);
  });
});
