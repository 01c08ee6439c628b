/** What the soak calls flat, and what it finds to grow; and its plots. */
import { describe, expect, it } from "vitest";
import { plot } from "./plot.ts";
import { type Fit, fit, longestDead, type Sample, type Series, seriesOf } from "./samples.ts";

function series(value: (minute: number) => number, unit = "MB"): Series {
  return {
    name: "heap",
    unit,
    points: Array.from({ length: 361 }, (_, i) => [i / 6, value(i / 6)] as const),
  };
}

/** Of two processes. */
function fiveMinutes(dead: number): Sample[] {
  const held = { heapMb: 10, externalMb: 1, rssMb: 80, handles: 9, timers: 4, descriptors: 20 };
  return [0, 1, 2, 3, 4].map((minute) => ({
    minute,
    processes: { "steady-1": held, "steady-2": held },
    stored: { sessions: 3, registrations: 20, slots: 100, longestDead: dead },
  }));
}

/** Of what was so many slots dead all the time. */
function fitOfDead(slots: number): Fit | undefined {
  const dead = seriesOf(fiveMinutes(slots)).find(({ name }) => name === "stored after death");
  return dead && fit(dead);
}

/** Up and down, as memory goes. */
function noise(minute: number): number {
  return 5 * Math.sin(minute * 3.7);
}

describe("the soak", () => {
  it("calls flat what goes up and down, and what grew while it warmed up", () => {
    const { isFlat, slopePerHour } = fit(series((minute) => 50 + noise(minute)));
    expect(isFlat).toBe(true);
    expect(Math.abs(slopePerHour)).toBeLessThan(1);
    expect(fit(series((minute) => Math.min(minute, 14) * 5 + 20)).isFlat).toBe(true);
  });

  it("finds a leak of a tenth of a megabyte a minute below the noise", () => {
    const { isFlat, slopePerHour } = fit(series((minute) => 30 + noise(minute) + minute / 10));
    expect(isFlat).toBe(false);
    expect(slopePerHour).toBeCloseTo(6, 0);
  });

  it("does not take what a busy machine does for ten minutes for a leak", () => {
    const { isFlat, slopePerHour } = fit(series((minute) => (minute > 45 && minute < 55 ? 60 : 13), ""));
    expect(isFlat).toBe(true);
    expect(slopePerHour).toBe(0);
  });

  it("finds documents that are never pruned", () => {
    expect(fit(series((minute) => 200 + minute * 2, "documents")).isFlat).toBe(false);
  });

  it("finds one single document that is never pruned, and no living one", () => {
    const alive = { _id: 7, slot: 950 };
    const own = { session: 7, slot: 10 };
    const ended = { session: 7, slot: 20, last: 880 };
    expect(longestDead([], [], 1000)).toBe(0);
    expect(longestDead([alive], [own], 1000)).toBe(50);
    expect(longestDead([alive], [own, ended], 1000)).toBe(120);
    expect(longestDead([alive], [{ ...own, last: 0 }], 1000)).toBe(990);
    expect(longestDead([alive], [{ session: 6, slot: 400 }], 1000)).toBe(600);
    expect(longestDead([alive, { _id: 6, slot: 300 }], [own], 1000)).toBe(700);
    expect(fitOfDead(500)?.isFlat).toBe(true);
    expect(fitOfDead(1300)?.isFlat).toBe(false);
  });

  it("forgives one connection more, and not one in ten minutes", () => {
    expect(fit(series((minute) => (minute > 30 ? 13 : 12), "")).isFlat).toBe(true);
    expect(fit(series((minute) => 12 + Math.floor(minute / 10), "")).isFlat).toBe(false);
  });

  it("does not judge by two points", () => {
    expect(() =>
      fit({
        name: "heap",
        unit: "MB",
        points: [
          [0, 1],
          [1, 1],
        ],
      }),
    ).toThrow(/too few/);
  });

  it("draws each of the processes, and nothing that is no number", () => {
    const all = seriesOf(fiveMinutes(130));
    expect(all.map(({ name }) => name)).toContain("file descriptors of steady-2");
    const svg = plot(
      "Stored <documents>",
      all.filter(({ name }) => name.startsWith("stored")),
    );
    expect(svg).toContain("Stored &lt;documents>");
    expect(svg.match(/<path d="M[\d.]+ [\d.]+L/g)).toHaveLength(4);
    expect(svg).not.toContain("NaN");
  });
});
