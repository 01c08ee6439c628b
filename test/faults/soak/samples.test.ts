/** What the soak calls flat, and what it finds to grow; and its plots. */
import { describe, expect, it } from "vitest";
import { plot } from "./plot.ts";
import { DEAD, fit, longestDead, type Sample } from "./samples.ts";

/** An hour of one quantity. */
function hour(name: string, value: (minute: number) => number): Sample[] {
  return Array.from({ length: 361 }, (_, i) => ({ minute: i / 6, values: { [name]: value(i / 6) } }));
}

/** Up and down, as memory goes. */
const noise = (minute: number): number => 5 * Math.sin(minute * 3.7);

describe("the soak", () => {
  it.each<[what: string, name: string, isFlat: boolean, perHour: number, of: (minute: number) => number]>([
    ["calls flat what goes up and down", "heap, MB", true, 0, (m) => 50 + noise(m)],
    ["calls flat what grew while it warmed up", "heap, MB", true, 0, (m) => Math.min(m, 14) * 5],
    ["finds a leak below the noise", "heap, MB", false, 6, (m) => 30 + noise(m) + m / 10],
    ["forgives a busy machine", "handles", true, 0, (m) => (Math.abs(m - 50) < 5 ? 60 : 13)],
    ["finds documents that are never pruned", "stored sessions", false, 120, (m) => 200 + m * 2],
    ["forgives one connection more", "descriptors", true, 1.5, (m) => 4 + m / 40],
    ["finds one more in ten minutes", "descriptors", false, 6, (m) => 12 + Math.floor(m / 10)],
    ["forgives what has been dead for a while", DEAD, true, 360, (m) => 130 + m * 6],
    ["finds one single document that is never pruned", DEAD, false, 1080, (m) => 130 + m * 18],
  ])("%s", (_, name, isFlat, perHour, of) => {
    const found = fit(name, hour(name, of));
    expect(found.isFlat).toBe(isFlat);
    expect(found.slopePerHour).toBeCloseTo(perHour, 0);
  });

  it("knows since when a stored document has been dead, and that the living are not", () => {
    const open = Number.MAX_SAFE_INTEGER;
    const alive = { session: 7, slot: 950, last: open };
    const own = { session: 7, slot: 10, last: open };
    const ended = { session: 7, slot: 20, last: 880 };
    expect(longestDead([], [], 1000)).toBe(0);
    expect(longestDead([alive], [own], 1000)).toBe(50);
    expect(longestDead([alive], [own, ended], 1000)).toBe(120);
    expect(longestDead([alive], [{ ...own, last: 0 }], 1000)).toBe(990);
    expect(longestDead([alive], [{ session: 6, slot: 400, last: open }], 1000)).toBe(600);
    expect(longestDead([alive, { session: 6, slot: 300, last: open }], [own], 1000)).toBe(700);
  });

  it("does not judge by two points", () => {
    expect(() => fit("heap", hour("heap", () => 1).slice(0, 2))).toThrow(/too few/);
  });

  it("draws a line for each quantity", () => {
    const samples = [0, 1, 2].map((minute) => ({ minute, values: { "heap of a": 10, "heap of b": minute } }));
    const svg = plot("Heap", ["heap of a", "heap of b"], samples);
    expect(svg.match(/<path d="M[\d.]+ [\d.]+L/g)).toHaveLength(2);
    expect(svg).not.toContain("NaN");
  });
});
