/**
 * Logs as short stories, to test the judge with: one event a line, with its time in periods. A process opens with its
 * first event. It then pings at a quarter of each slot, and so its `vouchedUntil` goes on, while it is not cut off.
 *
 *      0.0  w watches web/*             also: a key, or * for all; w unwatches
 *      1.0  p starts web/1 {"a":1}      done a hundredth later; `p calls start web/1` if it is never done
 *      1.1  w hears web/1 joined p      joined, updated, initial: with the holders; else dead. A process may be followed
 *                                       by the meta that was heard, as p:2; `@` instead of the time of its start: p@1
 *      2.0  p stops web/1 4             for so many periods; also: p kills web/1, p updates web/1 2
 *      3.0  q reports web/1             kills the key of another; p learns of web/1: the event `killed`
 *      4.0  p crashes                   also: exits, closes, lingers, lapses, breaks; renews: pings under another number;
 *                                       shares q: under that of q;
 *                                       sets clock: its wall clock, ahead; only reads: it never pings
 *      5.0  w stale                     and healthy
 *      6.0  all cut off for 3           also: held, hampered, disturbed, paused, asleep, set back asleep; names, with commas
 *      7.0  all lag 0.4 for 2           also: w ahead 0.3 for 2, a router's clock; p behind for 2: its reads may lag;
 *                                       p silent for 2: it does not ping, for no reason; all cut off in vain for 2: the
 *                                       fault should keep them from writing, and does not
 *      8.0  clock steps -3
 *      9.0  store loses all             the latest, some
 *      9.0  stored 2 sessions 3 registrations 40 pings
 *     40.0  end
 */
import type { Counts, Fault, Life, Line, Log } from "./log.ts";
import { matches } from "./process.ts";

const PERIOD_MS = 1000;
const DONE_MS = 10;
const PING_AT = 0.25;
const PERIODS_TO_DEATH = 2.5;

type Unstamped<Stamped> = Stamped extends { readonly t: number } ? Omit<Stamped, "t"> : never;
type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

interface Teller {
  readonly life: Mutable<Life>;
  readonly lines: Line[];
  session: number;
  /** When each key was started last, and how many times. */
  readonly starts: Map<string, { readonly t: number; readonly n: number }>;
}

const IN_VAIN = "cut off in vain";

const FAULTS: Readonly<Record<string, Omit<Fault, "kind" | "who" | "from" | "to">>> = {
  "cut off": { effect: "cut off" },
  "cut off quietly": { effect: "cut off", isQuiet: true },
  [IN_VAIN]: { effect: "cut off" },
  held: { effect: "held" },
  hampered: { effect: "hampered" },
  disturbed: { effect: "disturbed" },
  behind: { effect: "disturbed", mayLag: true },
  silent: { effect: "disturbed", isHint: true },
  paused: { effect: "cut off", isPause: true },
  asleep: { effect: "cut off", isPause: true, isSleep: true, isQuiet: true },
  "set back asleep": { effect: "cut off", isPause: true, isSleep: true, isQuiet: true, setsBack: true },
};

export function tell(text: string): Log {
  const story = new Story();
  for (const line of text.split("\n")) {
    const { 1: at, 2: what } = /^\s*([\d.]+)\s+(.*\S)\s*$/.exec(line) ?? [];
    if (at !== undefined && what !== undefined) story.event(Number(at) * PERIOD_MS, what);
    else if (line.trim() !== "") throw new Error(`not a line of a story: ${line}`);
  }
  return story.log();
}

class Story {
  readonly #tellers = new Map<string, Teller>();
  readonly #faults: Fault[] = [];
  readonly #counts: Counts[] = [];
  readonly #lives: Life[] = [];
  #end = 0;

  event(t: number, what: string): void {
    this.#end = t;
    if (what === "end") return;
    const { 1: who = "", 2: rest = "" } = /^(\S+) ?(.*)$/.exec(what) ?? [];
    if (who === "stored") this.#store(t, rest);
    else if (who === "clock")
      this.#fault(t, t, "all", { effect: "disturbed", stepMs: Number(rest.split(" ")[1]) * PERIOD_MS });
    else if (who === "store") this.#lose(t, rest.replace("loses ", ""));
    else if (/ for [\d.]+$/.test(rest) && !rest.startsWith("stops")) this.#befall(t, who, rest);
    else this.#tell(t, this.#teller(who, t), rest.split(" "));
  }

  log(): Log {
    for (const teller of this.#tellers.values()) this.#vouch(teller);
    return {
      periodMs: PERIOD_MS,
      retentionSlots: 20,
      roundTripMs: PERIOD_MS / 10,
      reconnectMs: 0,
      faults: this.#faults,
      lives: this.#lives,
      counts: this.#counts,
      from: 0,
      to: this.#end,
    };
  }

  #teller(name: string, t: number): Teller {
    const known = this.#tellers.get(name);
    if (known !== undefined && known.life.to === Infinity) return known;
    const lines: Line[] = [];
    const session = 100 + this.#lives.length;
    const number = (known?.life.life ?? 0) + 1;
    const life: Mutable<Life> = { name, life: number, from: t, to: Infinity, how: "lives", lines };
    this.#lives.push(life);
    if (known !== undefined) this.#vouch(known);
    const teller = { life, lines, session, starts: new Map<string, { t: number; n: number }>() };
    this.#tellers.set(name, teller);
    lines.push({ t, e: "opened" }, { t, e: "session", session });
    return teller;
  }

  #tell(t: number, teller: Teller, [what = "", key = "", ...rest]: readonly string[]): void {
    const { life, lines } = teller;
    const note = (line: Unstamped<Line>, at = t): void => void lines.push({ t: at, ...line });
    const done = t + DONE_MS;
    const n = teller.starts.get(key)?.n ?? 0;
    if (what === "watches") note({ e: "watches", id: key, target: targetOf(key) });
    else if (what === "unwatches") note(key === "" ? { e: "stops watching" } : { e: "unwatches", id: key });
    else if (what === "starts") {
      teller.starts.set(key, { t, n: n + 1 });
      note({ e: "starting", key, n: n + 1 });
      note({ e: "started", key, n: n + 1 }, done);
    } else if (what === "calls") note({ e: "starting", key: rest[0] ?? "", n: 1 });
    else if (what === "stops" || what === "kills") {
      const holdMs = rest[0] === undefined ? {} : { holdMs: Number(rest[0]) * PERIOD_MS };
      note({ e: "ending", key, n, how: what === "stops" ? "stopped" : "killed", ...holdMs });
      note({ e: "ended", key, n }, done);
    } else if (what === "updates") {
      note({ e: "updating", key, meta: rest[0] ?? "" });
      note({ e: "updated", key, meta: rest[0] ?? "" }, done);
    } else if (what === "reports") {
      note({ e: "kills", key });
      note({ e: "has killed", key }, done);
    } else if (what === "learns") note({ e: "killed", key: rest[0] ?? "" });
    else if (what === "hears") this.#hear(t, teller, key, rest);
    else if (what === "closes" || what === "lingers") {
      note({ e: "closing", linger: what === "lingers" });
      note({ e: "closed" }, done);
      [life.to, life.how] = [done, "closed"];
    } else if (what === "crashes" || what === "exits") {
      [life.to, life.how] = [t, what === "crashes" ? "crashed" : "exited"];
    } else if (what === "only") lines.splice(1, 1);
    else if (what === "renews") note({ e: "session", session: ++teller.session });
    else if (what === "shares")
      note({ e: "session", session: (teller.session = this.#tellers.get(key)?.session ?? 0) });
    else if (what === "lapses") note({ e: "lapse" });
    else if (what === "sets") {
      note({ e: "clock set" });
      note({ e: "lease", until: t });
    } else if (what === "breaks") note({ e: "broken", why: "uncaught" });
    else if (what === "stale" || what === "healthy") note({ e: "health", state: what });
    else throw new Error(`not an event: ${what}`);
  }

  #hear(t: number, { lines }: Teller, key: string, [cause = "", ...by]: readonly string[]): void {
    const holders = by.map((one) => {
      const {
        1: name = "",
        2: since,
        3: meta = "null",
      } = /^([^@:]+)(?:@([\d.]+))?(?::(.*))?$/.exec(one) ?? [];
      const teller = this.#tellers.get(name);
      const started = since === undefined ? (teller?.starts.get(key)?.t ?? 0) : Number(since) * PERIOD_MS;
      return { session: teller?.session ?? Number(name), since: started, meta };
    });
    const watches = lines.flatMap((line) =>
      line.e === "watches" && matches(line.target, key) ? [line] : [],
    );
    const change = { key, alive: holders.length > 0, cause, holders };
    // Its latest subscription is told the first state, and all are told what changes.
    for (const { id } of cause === "initial" ? watches.slice(-1) : watches)
      lines.push({ t, e: "reported", id, change });
  }

  #befall(t: number, who: string, rest: string): void {
    const { 1: what = "", 2: periods = "0" } = /^(.*) for ([\d.]+)$/.exec(rest) ?? [];
    const to = t + Number(periods) * PERIOD_MS;
    const { 1: how, 2: by } = /^(lag|ahead) ([\d.]+)$/.exec(what) ?? [];
    const fault =
      how === undefined
        ? FAULTS[what]
        : { effect: "disturbed" as const, [how === "lag" ? "lagMs" : "aheadMs"]: Number(by) * PERIOD_MS };
    if (fault === undefined) throw new Error(`not a fault: ${what}`);
    this.#fault(t, to, who, fault, what);
  }

  #lose(t: number, what: string): void {
    const loses = what as NonNullable<Fault["loses"]>;
    this.#fault(t, t, "all", { effect: "disturbed", loses });
  }

  #fault(
    from: number,
    to: number,
    who: string,
    fault: Omit<Fault, "kind" | "who" | "from" | "to">,
    kind = "a fault",
  ): void {
    this.#faults.push({ kind, who: who === "all" ? "all" : who.split(","), from, to, ...fault });
  }

  #store(t: number, text: string): void {
    const [sessions = 0, registrations = 0, pings = 0] = (text.match(/\d+/g) ?? []).map(Number);
    this.#counts.push({ t, sessions, registrations, pings });
  }

  /** Its pings, and so its `vouchedUntil`. A ping that was cut off is sent again until it is done. */
  #vouch({ life, lines }: Teller): void {
    const end = Math.min(life.to, this.#end);
    const isCut = (t: number): Fault | undefined =>
      this.#faults.find(
        ({ kind, who, effect, isHint, from, to }) =>
          kind !== IN_VAIN &&
          (effect !== "disturbed" || isHint === true) &&
          (who === "all" || who.includes(life.name)) &&
          from <= t &&
          t < to,
      );
    for (let slot = Math.floor(life.from / PERIOD_MS); slot * PERIOD_MS < end; slot++) {
      let t = Math.max(life.from, (slot + PING_AT) * PERIOD_MS);
      for (let cut = isCut(t); cut !== undefined; cut = isCut(t)) t = cut.to;
      if (t >= (slot + 1) * PERIOD_MS || t >= end) continue;
      lines.push({ t, e: "lease", until: (slot + PERIODS_TO_DEATH) * PERIOD_MS });
    }
    life.lines = lines.filter(({ t }) => t <= life.to).toSorted((one, other) => one.t - other.t);
  }
}

function targetOf(text: string): Extract<Line, { e: "watches" }>["target"] {
  if (text === "*") return { all: true };
  return text.endsWith("*") ? { prefix: text.slice(0, -1) } : text;
}
