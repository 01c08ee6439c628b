import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { Listener } from "../lib/emitter.ts";
import type { Instrumentation } from "../presence/context/instrumentation.ts";
import { type Internals, internalsOf } from "../presence/internals.ts";
import { invalid, show } from "../core/checks.ts";
import { closed } from "../core/errors.ts";
import { shared } from "../lib/shared.ts";
import type { Presence } from "../presence/presence.ts";
import { counters, type Definition, type GaugeDefinition, gauges, histograms } from "./definitions.ts";

/**
 * Registers the metrics of a presence in the program's own registry of prom-client. Several presences may share one, if
 * their namespaces differ: the label `namespace` distinguishes them. Returns a function that removes the metrics again,
 * as closing the presence does; removing them twice is harmless. A registry that was cleared can be filled again.
 * Throws `INVALID_OPTION` if the registry already has metrics of a presence of the same namespace or is none, or if
 * `presence` is not a presence, and `PRESENCE_CLOSED`.
 *
 * ```ts
 * import { register } from "prom-client";
 *
 * registerMetrics(presence, register);
 * ```
 */
export function registerMetrics(presence: Presence, registry: Registry): () => void {
  const inside = internalsOf(presence);
  if (inside.requests.sleeper.ended) throw closed(presence.name);
  if (typeof registry?.registerMetric !== "function") {
    throw invalid("registry", show(registry), "a Registry of prom-client");
  }
  let metrics = metricsOf.get(registry);
  if (metrics?.isWhole === false) {
    // The program has cleared its registry, so earlier metrics are gone.
    metrics.endAll();
    metrics = undefined;
  }
  if (metrics === undefined) metricsOf.set(registry, (metrics = new Metrics(registry)));
  if (metrics.has(presence.name)) {
    const wanted = "one without metrics of this namespace";
    throw invalid("registry", `one that has metrics of "${presence.name}" already`, wanted);
  }
  const end = metrics.add(presence, inside);
  const unregister = (): void => {
    end();
    presence.off("close", unregister);
    if (!metrics.isEmpty || metricsOf.get(registry) !== metrics) return;
    metricsOf.delete(registry);
    metrics.leave();
  };
  presence.once("close", unregister);
  return unregister;
}

type Labels = Record<string, string>;
type CounterName = keyof typeof counters;
type HistogramName = keyof typeof histograms;

interface Registered {
  readonly presence: Presence;
  readonly inside: Internals;
  readonly endCounting: () => void;
}

/** The metrics in one registry, of all its presences. */
class Metrics {
  readonly #registry: Registry;
  readonly #registered = new Map<string, Registered>();
  readonly #counters: Readonly<Record<CounterName, Counter>>;
  readonly #histograms: Readonly<Record<HistogramName, Histogram>>;
  readonly #gauges: readonly Gauge[];

  constructor(registry: Registry) {
    this.#registry = registry;
    this.#counters = mapValues(counters, (definition) => new Counter(this.#configOf(definition)));
    this.#histograms = mapValues(
      histograms,
      ({ buckets, ...definition }) => new Histogram({ ...this.#configOf(definition), buckets: [...buckets] }),
    );
    this.#gauges = gauges.map((definition) => this.#makeGauge(definition));
  }

  /** Whether all of them are in the registry. */
  get isWhole(): boolean {
    return DEFINITIONS.every(({ name }, at) => this.#registry.getSingleMetric(name) === this.#all[at]);
  }

  /** In the order of `DEFINITIONS`. */
  get #all(): readonly unknown[] {
    return [...Object.values(this.#counters), ...Object.values(this.#histograms), ...this.#gauges];
  }

  get isEmpty(): boolean {
    return this.#registered.size === 0;
  }

  has(namespace: string): boolean {
    return this.#registered.has(namespace);
  }

  /** Counts events of the presence from now on, until the returned function is called. */
  add(presence: Presence, inside: Internals): () => void {
    const namespace = presence.name;
    this.#begin(namespace);
    const endCounting = this.#count(presence, inside, { namespace });
    const registered = { presence, inside, endCounting };
    this.#registered.set(namespace, registered);
    return () => {
      if (this.#registered.get(namespace) !== registered) return; // removed already, or registered again since
      this.#registered.delete(namespace);
      endCounting();
      this.#end(namespace);
    };
  }

  /** Stops counting, and removes all metrics from the registry. */
  endAll(): void {
    for (const { endCounting } of this.#registered.values()) endCounting();
    this.#registered.clear();
    this.leave();
  }

  /** Removes all metrics from the registry. */
  leave(): void {
    for (const [at, { name }] of DEFINITIONS.entries()) {
      if (this.#registry.getSingleMetric(name) === this.#all[at]) this.#registry.removeSingleMetric(name);
    }
  }

  #configOf({ name, help, label }: Definition): {
    name: string;
    help: string;
    labelNames: string[];
    registers: Registry[];
  } {
    const labelNames = ["namespace", ...(label === undefined ? [] : [label[0]])];
    return { name, help, labelNames, registers: [this.#registry] };
  }

  #makeGauge(definition: GaugeDefinition): Gauge {
    const registered = this.#registered;
    const gauge: Gauge = new Gauge({
      ...this.#configOf(definition),
      aggregator: definition.aggregator,
      async collect() {
        const read = [...registered].map(async ([namespace, { presence, inside }]) => {
          const values = await definition.read({ presence, inside, gauges: inside.gauges() });
          return { namespace, values };
        });
        const now = await Promise.all(read);
        // Without a pause: another scrape may be under way.
        gauge.reset();
        for (const { namespace, values } of now) {
          seriesOf(definition, namespace).forEach((labels, index) => {
            const value = values[index];
            if (value !== undefined) gauge.set(labels, value);
          });
        }
      },
    });
    return gauge;
  }

  /** Every series exists from the start, with 0 for events that have not happened. */
  #begin(namespace: string): void {
    for (const name of keysOf(counters)) {
      for (const labels of seriesOf(counters[name], namespace)) this.#counters[name].inc(labels, 0);
    }
    for (const name of keysOf(histograms)) this.#histograms[name].zero({ namespace });
  }

  #end(namespace: string): void {
    for (const name of keysOf(counters)) {
      for (const labels of seriesOf(counters[name], namespace)) this.#counters[name].remove(labels);
    }
    for (const name of keysOf(histograms)) this.#histograms[name].remove({ namespace });
  }

  #count(presence: Presence, { instrumentation, periodMs }: Internals, labels: Labels): () => void {
    const { pings, reads, changes, feedRestarts, lapses, pruned } = this.#counters;
    const { ping, read, reportedAfter } = this.#histograms;
    const asked = { ping: pings, read: reads };
    const took = { ping, read };
    const ends: (() => void)[] = [];
    const on = <Name extends keyof Instrumentation>(
      name: Name,
      listener: Listener<Instrumentation[Name]>,
    ): void => {
      instrumentation.on(name, listener);
      ends.push(() => instrumentation.off(name, listener));
    };
    on("answered", (what, tookMs) => {
      asked[what].inc({ ...labels, result: "ok" });
      took[what].observe(labels, tookMs / 1000);
    });
    on("failed", (what) => asked[what].inc({ ...labels, result: "failed" }));
    on("reported", (cause, silentMs) => {
      changes.inc({ ...labels, cause });
      if (silentMs !== undefined) reportedAfter.observe(labels, silentMs / periodMs);
    });
    on("feedLost", () => feedRestarts.inc(labels));
    on("pruned", (counts) => {
      for (const kind of keysOf(counts)) pruned.inc({ ...labels, kind }, counts[kind]);
    });
    const lapsed = (): void => lapses.inc(labels);
    presence.on("lapse", lapsed);
    ends.push(() => presence.off("lapse", lapsed));
    return () => ends.forEach((end) => end());
  }
}

const DEFINITIONS: readonly Definition[] = [
  ...Object.values(counters),
  ...Object.values(histograms),
  ...gauges,
];

/** Shared by every copy of the package in this process. */
const metricsOf = shared("metrics", () => new WeakMap<Registry, Metrics>());

/** The labels of each series of a metric, in the order of the label's values. */
function seriesOf({ label }: Definition, namespace: string): Labels[] {
  if (label === undefined) return [{ namespace }];
  const [name, values] = label;
  return values.map((value) => ({ namespace, [name]: value }));
}

function keysOf<T extends object>(object: T): (keyof T)[] {
  return Object.keys(object) as (keyof T)[];
}

function mapValues<Name extends string, From, To>(
  object: Readonly<Record<Name, From>>,
  make: (from: From) => To,
): Record<Name, To> {
  return Object.fromEntries(keysOf(object).map((name) => [name, make(object[name])])) as Record<Name, To>;
}
