import { describe, expect, it } from "vitest";
import { quantilesOf } from "../../src/cli/bench/quantiles.ts";
import { heartbit, main, newStore, start } from "./heartbit.ts";
import { inTerminal } from "./terminal.ts";

it("of some times, the median, the 99 % and the most are some of them", () => {
  expect(quantilesOf([5])).toEqual({ count: 1, medianMs: 5, p99Ms: 5, maxMs: 5 });
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect(quantilesOf(hundred)).toEqual({ count: 100, medianMs: 50, p99Ms: 99, maxMs: 100 });
});

describe("bench --plan", () => {
  const args = ["bench", "--plan", "--processes", "1000", "--servers", "3"];

  it("reckons pings a second and the oplog of a day, and touches no store", async () => {
    const env = { HEARTBIT_STORE: "mongodb://127.0.0.1:1/none", HEARTBIT_PERIOD: "5s" };
    const { code, stdout } = await heartbit([...args, "--json"], env);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      processes: 1000,
      periodMs: 5000,
      servers: 3,
      pingsPerSecond: 200,
      oplogMbPerDay: 3801.6,
      oplogMbPerDayAll: expect.closeTo(11_404.8) as number,
      toldAfterMs: [5500, 12500],
    });
    const { stdout: text } = await heartbit(args, env);
    expect(text).toMatch(/^pings a second +200\noplog a day, each server +3800 MB\n/);
  });

  it.each(["0", "-1", "many", "1.5"])("refuses %s processes", async (processes) => {
    const ended = await heartbit(["bench", "--plan", "--processes", processes]);
    expect(ended).toMatchObject({ code: 2, stderr: expect.stringMatching(/Write a number/) as string });
  });
});

interface Said {
  readonly periodMs: number;
  readonly measurements: { what: string; count: number; medianMs: number; p99Ms: number; maxMs: number }[];
}

describe("bench", () => {
  it("measures pings, joins, and the notice of joins, kills and crashes", async () => {
    const { code, stdout } = await heartbit(["bench", "--json"], await newStore("500ms"));
    expect(code).toBe(0);
    const { periodMs, measurements } = JSON.parse(stdout) as Said;
    expect(periodMs).toBe(500);
    expect(measurements.map(({ what }) => what)).toEqual([
      "ping",
      "join",
      "notice of join",
      "notice of kill",
      "notice of crash",
    ]);
    for (const { count, medianMs, p99Ms, maxMs } of measurements) {
      expect(count).toBeGreaterThan(1);
      expect(medianMs).toBeGreaterThan(0);
      expect(p99Ms).toBeGreaterThanOrEqual(medianMs);
      expect(maxMs).toBeGreaterThanOrEqual(p99Ms);
    }
    expect(measurements[4]?.medianMs).toBeGreaterThan(500);
  });

  it("says how far it is where a person reads stderr, and leaves nothing of that", async () => {
    const env = await newStore("300ms");
    const { running } = inTerminal([process.execPath, main(), "bench"], env);
    await running.says("stdout", /pinging …[^\n]*joining and killing …[^\n]*crashing 4 processes[^\n]*…/);
    const { code, stdout } = await running.ended;
    expect(stdout).toContain("\r\u001b[KWHAT ");
    expect(code).toBe(0);
  });

  it("ends with 130 when it is interrupted", async () => {
    const bench = start(["bench"], await newStore("500ms"));
    await bench.says("stderr", /Measuring/);
    bench.child.kill("SIGINT");
    expect((await bench.ended).code).toBe(130);
  });

  it("refuses a store that other processes cannot see", async () => {
    const ended = await heartbit(["bench", "--store", "memory:x"]);
    expect(ended).toMatchObject({ code: 2, stderr: expect.stringMatching(/share no memory/) as string });
  });
});
