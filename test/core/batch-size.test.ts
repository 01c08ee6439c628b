import { describe, expect, it } from "vitest";
import { BatchSize } from "../../src/core/batch-size.ts";

const LIMIT_MS = 2000;

describe("a batch", () => {
  it("is twice as large after a full one that was acknowledged quickly, up to 5,000 writes", () => {
    const size = new BatchSize(LIMIT_MS);
    const sizes = Array.from({ length: 9 }, (_, at) => {
      const most = size.begin(at * 1000);
      size.acknowledged(most, at * 1000 + 999);
      return most;
    });
    expect(sizes).toEqual([50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
  });

  it("stays as large after one that was slow, or that was not full", () => {
    const size = new BatchSize(LIMIT_MS);
    size.begin(0);
    size.acknowledged(50, LIMIT_MS / 2);
    expect(size.begin(1000)).toBe(50);
    size.acknowledged(49, 1001);
    expect(size.begin(1001)).toBe(50);
  });

  it("has a quarter of the writes of one that failed, and one at least", () => {
    const size = new BatchSize(LIMIT_MS);
    const sizes = [50, 12, 3, 1, 1];
    for (const [at, most] of sizes.entries()) {
      expect(size.begin(at)).toBe(most);
      size.failed(most, at);
    }
  });

  it("is small again after a pause, but not larger than before it", () => {
    const size = new BatchSize(LIMIT_MS);
    size.begin(0);
    size.acknowledged(50, 0);
    expect(size.begin(LIMIT_MS)).toBe(100);
    size.acknowledged(100, LIMIT_MS);
    expect(size.begin(2 * LIMIT_MS + 1)).toBe(50);
    size.failed(50, 2 * LIMIT_MS + 1);
    expect(size.begin(4 * LIMIT_MS)).toBe(12);
  });
});
