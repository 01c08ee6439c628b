import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { quantilesOf } from "../../src/cli/bench/quantiles.ts";
import { until } from "../support/wait.ts";
import { heartbit, isRunning, main, newStore, start } from "./heartbit.ts";
import { inTerminal } from "./terminal.ts";

it("of some times, the median, the 99 % and the most are some of them", () => {
  expect(quantilesOf([5])).toEqual({ count: 1, medianMs: 5, p99Ms: 5, maxMs: 5 });
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect(quantilesOf(hundred)).toEqual({ count: 100, medianMs: 50, p99Ms: 99, maxMs: 100 });
});

it("bench --plan reckons pings a second and the oplog of a day, and touches no store", async () => {
  const args = ["bench", "--plan", "--processes", "1000", "--servers", "3"];
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

describe("bench", () => {
  it("refuses what only a plan takes into account", async () => {
    const { code, stderr } = await heartbit(["bench", "--processes", "5"], await newStore());
    expect([code, stderr]).toEqual([2, expect.stringMatching(/^heartbit: --processes needs --plan, /)]);
  });

  it("says how far it is where a person reads stderr, and leaves nothing of that", async () => {
    const { running } = inTerminal([process.execPath, main(), "bench"], await newStore("300ms"));
    await running.says("stdout", /pinging …[^\n]*joining and killing …[^\n]*crashing 4 processes[^\n]*…/);
    const { code, stdout } = await running.ended;
    expect(stdout).toContain("\r\u001b[KWHAT ");
    expect(code).toBe(0);
  });

  it("takes its processes with it when it is killed itself", async () => {
    const { child, pid } = start(["bench"], await newStore("300ms"));
    const crashing = (): number[] => {
      const { stdout } = spawnSync("ps", ["-A", "-o", "pid=,ppid=,args="], { encoding: "utf8" });
      const found = [...stdout.matchAll(/^ *(\d+) +(\d+) .* ping crash-\d$/gm)];
      return found.filter(([, , parent]) => Number(parent) === pid).map(([, one]) => Number(one));
    };
    await until(() => crashing().length > 0);
    const left = crashing();
    child.kill("SIGKILL");
    await until(() => !left.some(isRunning));
  });

  it("ends with 130 when it is interrupted", async () => {
    const bench = start(["bench"], await newStore("500ms"));
    await bench.says("stderr", /Measuring/);
    bench.child.kill("SIGINT");
    expect((await bench.ended).code).toBe(130);
  });
});
