import { readFile } from "node:fs/promises";
import { AggregatorRegistry, Registry } from "prom-client";
import { beforeEach, describe, expect, it } from "vitest";
import { registerMetrics } from "../../src/metrics/index.ts";
import { counters, gauges, histograms } from "../../src/metrics/definitions.ts";
import { Bench, type Client, PERIOD_MS } from "../presence/support.ts";

let bench: Bench;
let registry: Registry;
beforeEach(() => {
  bench = new Bench();
  registry = new Registry();
});

/** The value of a series of the namespace "presence"; undefined where there is none. */
async function valueOf(name: string, labels: Record<string, string> = {}): Promise<number | undefined> {
  const metric = await registry.getSingleMetric(name.replace(/_(?:sum|count|bucket)$/, ""))?.get();
  const wanted = Object.entries({ namespace: "presence", ...labels });
  const series = (metric?.values ?? []) as { metricName?: string; labels: object; value: number }[];
  const found = series.find(({ metricName = name, labels: given }) => {
    const pairs = new Map(Object.entries(given));
    const isSame =
      pairs.size === wanted.length && wanted.every(([label, value]) => pairs.get(label) === value);
    return metricName === name && isSame;
  });
  return found?.value;
}

/** A presence whose metrics are in the registry. */
async function measured(): Promise<Client> {
  const client = await bench.open();
  registerMetrics(client.presence, registry);
  return client;
}

describe("the metrics of a presence count", () => {
  it("pings that were acknowledged and that failed, and how long they took", async () => {
    const { presence, link } = await measured();
    expect(await valueOf("heartbit_pings_total", { result: "ok" })).toBe(0);
    await presence.pinger("a").start();
    await bench.periods(3);
    const ok = await valueOf("heartbit_pings_total", { result: "ok" });
    expect(ok).toBeGreaterThanOrEqual(3);
    expect(await valueOf("heartbit_ping_seconds_count")).toBe(ok);
    expect(await valueOf("heartbit_pings_total", { result: "failed" })).toBe(0);
    link.fail();
    await bench.periods(1);
    expect(await valueOf("heartbit_pings_total", { result: "failed" })).toBeGreaterThan(2);
    expect(await valueOf("heartbit_pings_total", { result: "ok" })).toBe(ok);
  });

  it("reads, and those that failed", async () => {
    const { presence, link } = await measured();
    presence.watcher().watch({ all: true }, () => {});
    await bench.periods(3);
    const ok = await valueOf("heartbit_reads_total", { result: "ok" });
    expect(ok).toBeGreaterThanOrEqual(2);
    expect(await valueOf("heartbit_read_seconds_count")).toBe(ok);
    link.fail();
    await bench.periods(1);
    expect(await valueOf("heartbit_reads_total", { result: "failed" })).toBeGreaterThan(0);
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
    expect(await Promise.all(causes.map((cause) => valueOf("heartbit_changes_total", { cause })))).toEqual([
      1, 1, 1, 0, 0,
    ]);
  });

  it("after how many periods an expiry was reported: 2.5 from the start of the last slot", async () => {
    const doomed = await bench.open();
    await doomed.presence.pinger("a").start();
    const { presence } = await measured();
    presence.watcher().watch({ all: true }, () => {});
    await bench.periods(3);
    expect(await valueOf("heartbit_told_after_periods_count")).toBe(0);
    doomed.link.fail();
    await bench.periods(4);
    expect(await valueOf("heartbit_changes_total", { cause: "expired" })).toBe(1);
    expect(await valueOf("heartbit_told_after_periods_count")).toBe(1);
    expect(await valueOf("heartbit_told_after_periods_sum")).toBeCloseTo(2.5, 1);
  });

  it("what is alive among what is watched, and what is held", async () => {
    const other = (await bench.open()).presence;
    await other.pinger("a").start();
    const { presence } = await measured();
    expect(await valueOf("heartbit_alive", { kind: "keys" })).toBeUndefined();
    await presence.pinger("a").start();
    await presence.pinger("b").start();
    const watcher = presence.watcher();
    watcher.watch({ all: true }, () => {});
    await watcher.sync();
    expect(await valueOf("heartbit_alive", { kind: "keys" })).toBe(2);
    expect(await valueOf("heartbit_alive", { kind: "sessions" })).toBe(2);
    expect(await valueOf("heartbit_held_keys")).toBe(2);
  });

  it("changes that nobody has taken yet", async () => {
    const { presence } = await measured();
    const watcher = presence.watcher();
    const changes = watcher.changes({ all: true });
    await watcher.sync();
    await presence.pinger("a").start();
    await presence.pinger("b").start();
    await bench.periods(0.1);
    expect(await valueOf("heartbit_undelivered_changes")).toBe(2);
    await changes.next();
    expect(await valueOf("heartbit_undelivered_changes")).toBe(1);
  });

  it("health, lapses, and the lease", async () => {
    const { presence, link } = await measured();
    expect(await valueOf("heartbit_vouched_seconds")).toBeUndefined();
    await presence.pinger("a").start();
    await bench.periods(1);
    expect(await valueOf("heartbit_healthy")).toBe(1);
    expect(await valueOf("heartbit_vouched_seconds")).toBeGreaterThan((1.2 * PERIOD_MS) / 1000);
    link.fail();
    await bench.periods(4);
    expect(await valueOf("heartbit_healthy")).toBe(0);
    expect(await valueOf("heartbit_vouched_seconds")).toBeLessThan(0);
    expect(await valueOf("heartbit_lapses_total")).toBe(1);
  });

  it("the state of the feed, and how often it was lost", async () => {
    const { presence, link } = await measured();
    expect(await valueOf("heartbit_feed_state", { state: "off" })).toBe(1);
    const watcher = presence.watcher();
    watcher.watch({ all: true }, () => {});
    await watcher.sync();
    expect(await valueOf("heartbit_feed_state", { state: "live" })).toBe(1);
    expect(await valueOf("heartbit_feed_state", { state: "off" })).toBe(0);
    link.fail();
    await bench.periods(0.1);
    expect(await valueOf("heartbit_feed_state", { state: "opening" })).toBe(1);
    expect(await valueOf("heartbit_feed_restarts_total")).toBe(1);
  });

  it("what was pruned", async () => {
    const { presence } = await measured();
    await presence.pinger("b").start(); // the retention counts from when somebody was there
    const gone = (await bench.open()).presence;
    await gone.pinger("a").start();
    await gone.close();
    await bench.periods(130);
    await presence.prune();
    expect(await valueOf("heartbit_pruned_total", { kind: "sessions" })).toBe(1);
    expect(await valueOf("heartbit_pruned_total", { kind: "registrations" })).toBe(1);
    expect(await valueOf("heartbit_pruned_total", { kind: "slots" })).toBeGreaterThan(0);
  });

  it("the clock, the slots behind and the period, in seconds", async () => {
    await measured();
    const offset = await valueOf("heartbit_clock_offset_seconds");
    expect(Math.abs(offset ?? NaN)).toBeLessThanOrEqual(0.001); // the resolution of stamps
    expect(await valueOf("heartbit_clock_error_seconds")).toBeGreaterThan(0);
    expect(await valueOf("heartbit_slots_behind")).toBe(0);
    expect(await valueOf("heartbit_period_seconds")).toBe(5);
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
    expect(registry.getMetricsAsArray()).toEqual([]);
  });

  it("takes a namespace again after it was unregistered, but not twice at a time", async () => {
    const { presence } = await bench.open();
    const unregister = registerMetrics(presence, registry);
    expect(() => registerMetrics(presence, registry)).toThrow(/metrics of "presence" already/);
    unregister();
    unregister();
    const again = registerMetrics(presence, registry);
    unregister();
    expect(await valueOf("heartbit_held_keys")).toBe(0);
    again();
    expect(registry.getMetricsAsArray()).toEqual([]);
  });

  it("can be filled again after it was cleared, or has lost one metric: by the same presence and by others", async () => {
    const [one, two] = [await bench.open({ name: "one" }), await bench.open({ name: "two" })];
    const empty: (() => void)[] = [
      () => registry.clear(),
      () => registry.removeSingleMetric("heartbit_pings_total"),
      () => registry.removeSingleMetric("heartbit_period_seconds"),
    ];
    for (const clear of empty) {
      const before = registerMetrics(one.presence, registry);
      clear();
      const ends = [two, one].map(({ presence }) => registerMetrics(presence, registry));
      before(); // of what is gone already: it takes nothing away
      const text = await registry.metrics();
      expect(text.match(/heartbit_period_seconds\{.*/g)).toEqual([
        'heartbit_period_seconds{namespace="two"} 5',
        'heartbit_period_seconds{namespace="one"} 5',
      ]);
      for (const end of ends) end();
      expect(registry.getMetricsAsArray()).toEqual([]);
    }
  });

  it("that was cleared counts each thing once when it was filled again", async () => {
    const { presence } = await bench.open();
    registerMetrics(presence, registry);
    registry.clear();
    registerMetrics(presence, registry);
    await presence.pinger("a").start();
    await bench.periods(3);
    const pings = await valueOf("heartbit_pings_total", { result: "ok" });
    expect(await valueOf("heartbit_ping_seconds_count")).toBe(pings);
    expect(pings).toBeLessThan(8);
  });

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
    const values = await Promise.all(
      ["alive", "held_keys", "period_seconds", "healthy", "slots_behind"].map((name) =>
        valueOf(`heartbit_${name}`, name === "alive" ? { kind: "keys" } : {}),
      ),
    );
    expect(values).toEqual([3, 3, 5, 0, 0]);
    const added = await valueOf("heartbit_pings_total", { result: "ok" });
    let pings = 0;
    for (registry of registries) pings += (await valueOf("heartbit_pings_total", { result: "ok" })) ?? 0;
    expect(added).toBe(pings);
  });

  it("refuses what is no presence", () => {
    expect(() => registerMetrics({} as never, registry)).toThrow(/must be a Presence/);
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
