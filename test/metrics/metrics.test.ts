import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { AggregatorRegistry, Registry } from "prom-client";
import { beforeEach, describe, expect, inject, it } from "vitest";
import { registerMetrics } from "../../src/metrics/index.ts";
import { counters, gauges, histograms } from "../../src/metrics/definitions.ts";
import { Bench, type Client, PERIOD_MS } from "../presence/support.ts";

let bench: Bench;
let registry: Registry;
beforeEach(() => {
  bench = new Bench();
  registry = new Registry();
});

/** The value of a series of "presence", such as `pings_total{result="ok"}`; undefined if there is none. */
async function valueOf(series: string): Promise<number | undefined> {
  const [, name = "", labels] = /^(\w+)(?:\{(.*)\})?$/.exec(series) ?? [];
  const start = `heartbit_${name}{${['namespace="presence"', labels].filter(Boolean).join()}} `;
  const line = (await registry.metrics()).split("\n").find((text) => text.startsWith(start));
  return line === undefined ? undefined : Number(line.slice(start.length));
}

const valuesOf = (...series: string[]): Promise<(number | undefined)[]> => Promise.all(series.map(valueOf));

/** A presence whose metrics are in the registry. */
async function measured(): Promise<Client> {
  const client = await bench.open();
  registerMetrics(client.presence, registry);
  return client;
}

describe("the metrics of a presence count", () => {
  it("pings and reads that succeeded and that failed, and how long they took", async () => {
    const { presence, link } = await measured();
    expect(await valueOf('pings_total{result="ok"}')).toBe(0);
    presence.watcher().watch({ all: true }, () => {});
    await bench.periods(3);
    const succeeded = ['pings_total{result="ok"}', 'reads_total{result="ok"}'];
    const [pings = 0, reads = 0] = await valuesOf(...succeeded);
    expect(pings).toBeGreaterThanOrEqual(3);
    expect(reads).toBeGreaterThanOrEqual(2);
    expect(await valuesOf("ping_seconds_count", "read_seconds_count")).toEqual([pings, reads]);
    expect(await valueOf('pings_total{result="failed"}')).toBe(0);
    link.fail();
    await bench.periods(1);
    expect(await valueOf('pings_total{result="failed"}')).toBeGreaterThan(2);
    expect(await valueOf('reads_total{result="failed"}')).toBeGreaterThan(0);
    expect(await valuesOf(...succeeded)).toEqual([pings, reads]);
  });

  it("changes by cause, one for each key however many hear of it, and what was there before not at all", async () => {
    const other = (await bench.open()).presence;
    await other.pinger("before").start();
    const { presence } = await measured();
    presence.watcher().watch({ all: true }, () => {});
    const watcher = presence.watcher();
    watcher.watch("a", () => {});
    await watcher.sync();
    const a = other.pinger("a");
    await a.start();
    await a.update({ n: 1 });
    await bench.periods(0.1);
    await a.kill();
    await bench.periods(0.1);
    const causes = ["joined", "updated", "killed", "stopped", "expired"];
    const counts = await valuesOf(...causes.map((cause) => `changes_total{cause="${cause}"}`));
    expect(counts).toEqual([1, 1, 1, 0, 0]);
  });

  it("after how many periods an expiry was reported: 2.5 from the start of the last slot", async () => {
    const doomed = await bench.open();
    await doomed.presence.pinger("a").start();
    const { presence } = await measured();
    presence.watcher().watch({ all: true }, () => {});
    await bench.periods(3);
    expect(await valueOf("told_after_periods_count")).toBe(0);
    doomed.link.fail();
    await bench.periods(4);
    expect(await valuesOf('changes_total{cause="expired"}', "told_after_periods_count")).toEqual([1, 1]);
    expect(await valueOf("told_after_periods_sum")).toBeCloseTo(2.5, 1);
  });

  it("what is alive among what is watched, what is held, and changes that nobody has taken yet", async () => {
    const other = (await bench.open()).presence;
    await other.pinger("a").start();
    const { presence } = await measured();
    expect(await valueOf('alive{kind="keys"}')).toBeUndefined();
    await presence.pinger("a").start();
    await presence.pinger("b").start();
    const watcher = presence.watcher();
    const changes = watcher.changes({ all: true });
    await watcher.sync();
    expect(await valuesOf('alive{kind="keys"}', 'alive{kind="sessions"}', "held_keys")).toEqual([2, 2, 2]);
    expect(await valueOf("undelivered_changes")).toBe(2);
    await changes.next();
    expect(await valueOf("undelivered_changes")).toBe(1);
  });

  it("health, lapses, the lease, and the state of the feed", async () => {
    const { presence, link } = await measured();
    const feed = ["off", "opening", "live"].map((state) => `feed_state{state="${state}"}`);
    expect(await valueOf("vouched_seconds")).toBeUndefined();
    expect(await valuesOf(...feed)).toEqual([1, 0, 0]);
    presence.watcher().watch({ all: true }, () => {});
    await bench.periods(1);
    expect(await valuesOf("healthy", ...feed)).toEqual([1, 0, 0, 1]);
    expect(await valueOf("vouched_seconds")).toBeGreaterThan((1.2 * PERIOD_MS) / 1000);
    link.fail();
    await bench.periods(0.1);
    expect(await valuesOf("feed_restarts_total", ...feed)).toEqual([1, 0, 1, 0]);
    await bench.periods(3.9);
    expect(await valuesOf("healthy", "lapses_total")).toEqual([0, 1]);
    expect(await valueOf("vouched_seconds")).toBeLessThan(0);
  });

  it("what was pruned", async () => {
    const { presence } = await measured();
    await presence.pinger("b").start(); // the retention counts from when somebody was there
    const gone = (await bench.open()).presence;
    await gone.pinger("a").start();
    await gone.close();
    await bench.periods(130);
    await presence.prune();
    const kinds = ["sessions", "registrations", "slots"].map((kind) => `pruned_total{kind="${kind}"}`);
    const [sessions, registrations, slots] = await valuesOf(...kinds);
    expect([sessions, registrations]).toEqual([1, 1]);
    expect(slots).toBeGreaterThan(0);
  });

  it("the clock, the slots behind and the period, in seconds", async () => {
    await measured();
    const names = ["clock_offset_seconds", "clock_error_seconds", "slots_behind", "period_seconds"];
    const [offset = NaN, error, ...rest] = await valuesOf(...names);
    expect(Math.abs(offset)).toBeLessThanOrEqual(0.001); // the resolution of stamps
    expect(error).toBeGreaterThan(0);
    expect(rest).toEqual([0, 5]);
  });
});

describe("a registry", () => {
  it("may have the metrics of several namespaces, and is empty when the last has closed", async () => {
    const one = await bench.open({ name: "one" });
    const two = await bench.open({ name: "two" });
    registerMetrics(one.presence, registry);
    registerMetrics(two.presence, registry);
    expect(await registry.metrics()).toMatch(/heartbit_held_keys\{namespace="one"\} 0\n.*"two"\} 0/);
    await one.presence.close();
    const left = await registry.metrics();
    expect(left).toContain('namespace="two"');
    expect(left).not.toContain('namespace="one"');
    await two.presence.close();
    expect(() => registerMetrics(two.presence, registry)).toThrow(/is closed/);
    expect(registry.getMetricsAsArray()).toEqual([]);
  });

  it("takes a namespace again after it was unregistered, but not twice at a time", async () => {
    const { presence } = await bench.open();
    const unregister = registerMetrics(presence, registry);
    expect(() => registerMetrics(presence, registry)).toThrow(/metrics of "presence" already/);
    unregister();
    const again = registerMetrics(presence, registry);
    unregister();
    expect(await valueOf("held_keys")).toBe(0);
    again();
    expect(registry.getMetricsAsArray()).toEqual([]);
  });

  it.each<[how: string, clear: () => void]>([
    ["was cleared", () => registry.clear()],
    ["has lost a counter", () => registry.removeSingleMetric("heartbit_pings_total")],
    ["has lost a gauge", () => registry.removeSingleMetric("heartbit_period_seconds")],
  ])(
    "that %s can be filled again, by the same presence and by others, and counts each thing once",
    async (_, clear) => {
      const [one, two] = [await bench.open(), await bench.open({ name: "two" })];
      const before = registerMetrics(one.presence, registry);
      clear();
      const ends = [two, one].map(({ presence }) => registerMetrics(presence, registry));
      before(); // of what is gone already: it takes nothing away
      const periods = (await registry.metrics()).match(/heartbit_period_seconds\{.*/g);
      expect(periods).toEqual(
        ["two", "presence"].map((name) => `heartbit_period_seconds{namespace="${name}"} 5`),
      );
      await one.presence.pinger("a").start();
      await bench.periods(3);
      const [pings = 0, count] = await valuesOf('pings_total{result="ok"}', "ping_seconds_count");
      expect(count).toBe(pings);
      expect(pings).toBeLessThan(8);
      for (const end of ends) end();
      expect(registry.getMetricsAsArray()).toEqual([]);
    },
  );

  it("of several processes add up: what is the namespace's stays what it is", async () => {
    const registries: Registry[] = [];
    const clients = await Promise.all(Array.from({ length: 3 }, () => bench.open()));
    for (const [index, { presence }] of clients.entries()) {
      presence.watcher().watch({ all: true }, () => {});
      await presence.pinger(`key-${index}`).start();
      registries.push(new Registry());
      registerMetrics(presence, registries[index]!);
    }
    await bench.periods(3);
    clients[0]!.link.fail();
    await bench.periods(1);
    const metrics = await Promise.all(registries.map((each) => each.getMetricsAsJSON()));
    registry = AggregatorRegistry.aggregate(metrics);
    const names = ['alive{kind="keys"}', "held_keys", "period_seconds", "healthy", "slots_behind"];
    expect(await valuesOf(...names)).toEqual([3, 3, 5, 0, 0]);
    const added = await valueOf('pings_total{result="ok"}');
    let pings = 0;
    for (registry of registries) pings += (await valueOf('pings_total{result="ok"}')) ?? 0;
    expect(added).toBe(pings);
  });

  it("refuses what is no presence, and no registry", async () => {
    expect(() => registerMetrics({} as never, registry)).toThrow(/must be a Presence/);
    const { presence } = await bench.open();
    expect(() => registerMetrics(presence, undefined as never)).toThrow(/must be a Registry of prom-client/);
  });
});

const definitions = [...Object.values(counters), ...Object.values(histograms), ...gauges];
const root = new URL("../../", import.meta.url);

it("docs/metrics.md has a row for every metric, with its labels, and for no other", async () => {
  const guide = await readFile(new URL("docs/metrics.md", root), "utf8");
  const rows = Array.from(guide.matchAll(/^\| `(heartbit_\w+)` \| (\w+) \|([^|]*)\|/gm));
  expect(new Set(rows.map(([, name]) => name))).toEqual(new Set(definitions.map(({ name }) => name)));
  for (const [, name, type, labels = ""] of rows) {
    const definition = definitions.find((one) => one.name === name)!;
    const kind = "buckets" in definition ? "histogram" : "read" in definition ? "gauge" : "counter";
    expect([name, type]).toEqual([name, kind]);
    const label = "label" in definition ? definition.label : undefined;
    for (const value of label === undefined ? [] : [label[0], ...label[1]]) expect(labels).toContain(value);
  }
});

it("every metric named in deploy/ exists", async () => {
  const names = new Set(
    definitions.flatMap(({ name, ...more }) =>
      "buckets" in more ? [name, `${name}_sum`, `${name}_count`, `${name}_bucket`] : [name],
    ),
  );
  for (const file of ["deploy/grafana-dashboard.json", "deploy/prometheus-alerts.yml"]) {
    const named = (await readFile(new URL(file, root), "utf8")).match(/\bheartbit_\w+/g) ?? [];
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((name) => !names.has(name))).toEqual([]);
  }
});

it("of the entry points, metrics alone loads prom-client", async () => {
  const loading: string[] = [];
  for (const entry of ["index.js", "testing/index.js", "dashboard/index.js", "metrics/index.js"]) {
    const url = pathToFileURL(join(inject("built"), entry)).href;
    const script = `import { Module } from "node:module"; await import("${url}"); console.log(...Object.keys(Module._cache));`;
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script]);
    if (stdout.includes("prom-client")) loading.push(entry);
  }
  expect(loading).toEqual(["metrics/index.js"]);
});
