/**
 * Scenario files: stories on the manual clock, as text. Each begins with what it shows; then come commands, one a line,
 * with the time at which they are given, in slots; below `---` is all that was told. Programs are named by who holds or
 * watches: a name opens its presence at its first command.
 *
 *      1.20  a start web {"v":1}      hold a key; also: stop KEY [slots], kill KEY, update KEY meta
 *      1.30  w watch web              watch a key, a prefix (`web*`), or all (`*`); `slow` before it: a listener that
 *                                     takes nothing until `w take`
 *      2.00  a crash                  also: close, linger, pause 3 (slots), report KEY (kill it, whoever holds it)
 *      3.00  store fail 2             for so many slots; also: store step -3; w feed lost; w feed
 *                                     silent (without an error); w list; w prune
 */
import type { Clock } from "../../src/index.ts";
import { type Change, type Pinger, Presence, type Watcher } from "../../src/index.ts";
import { FaultyStore, ManualClock, MemoryStore } from "../../src/testing/index.ts";
import { silenceable } from "../presence/support.ts";
import { Random } from "../simulator/random.ts";

const PERIOD_MS = 1000;
/** Slots are counted from here. */
const START = Math.ceil(Date.UTC(2026, 0, 1) / PERIOD_MS) * PERIOD_MS;

interface Program {
  readonly link: FaultyStore;
  readonly presence: Presence;
  readonly pingers: Map<string, Pinger>;
  watcher: Watcher | undefined;
  readonly pause: { on: boolean; readonly due: (() => void)[] };
  readonly feed: { isSilent: boolean };
}

/** Runs the commands of a scenario; gives the trace. */
export async function runScenario(text: string): Promise<string[]> {
  const story = new Story();
  for (const line of text.split("\n")) {
    const match = /^\s+([\d.]+) {2}(.*)$/.exec(line);
    if (match?.[1] === undefined || match[2] === undefined) continue;
    await story.advanceTo(Number(match[1]));
    await story.command(match[2].trim().split(/\s+/));
  }
  return story.trace;
}

class Story {
  readonly trace: string[] = [];
  readonly #manual = new ManualClock({ start: START });
  readonly #random = new Random(1);
  readonly #storeClock = new ManualClock({ start: START });
  readonly #store = new MemoryStore({ clock: this.#storeClock });
  readonly #programs = new Map<string, Program>();
  readonly #slow = new Map<string, () => void>();

  get #now(): number {
    return this.#manual.monotonic() / PERIOD_MS;
  }

  async advanceTo(slot: number): Promise<void> {
    const step = 10;
    while (this.#now < slot - 1e-9) {
      await this.#storeClock.advance(step);
      await this.#manual.advance(step);
    }
  }

  async command([who = "", what = "", ...rest]: string[]): Promise<void> {
    if (who === "end") return;
    if (who === "store") return this.#tellStore(what, Number(rest[0]));
    const program = this.#programs.get(who) ?? (await this.#open(who));
    const done = this.#run(who, program, what, rest);
    done?.catch((error: unknown) => this.#say(who, `${what} rejects: ${String(error)}`));
    await this.#manual.advance(0);
  }

  #tellStore(what: string, slots: number): void {
    if (what === "step") {
      this.#storeClock.step(slots * PERIOD_MS);
      return;
    }
    for (const { link } of this.#programs.values()) {
      link.fail();
      this.#manual.setTimer(() => link.heal(), slots * PERIOD_MS);
    }
  }

  #run(who: string, program: Program, what: string, rest: string[]): Promise<unknown> | undefined {
    const [key = "", argument] = rest;
    const { presence, link, pause, feed } = program;
    if (what === "slow") this.#watch(who, program, rest[1] ?? "", true);
    if (what === "watch") this.#watch(who, program, key, false);
    if (what === "take") this.#slow.get(who)?.();
    if (what === "slow" || what === "watch" || what === "take") return undefined;
    if (what === "crash" || what === "pause") {
      link.pause();
      pause.on = true;
      if (what === "pause") this.#manual.setTimer(() => this.#resume(program), Number(key) * PERIOD_MS);
      return undefined;
    }
    if (what === "close") return presence.close({ linger: key === "linger" });
    if (what === "feed" && key === "silent") {
      feed.isSilent = true;
      return undefined;
    }
    if (what === "feed") {
      link.fail();
      link.heal();
      return undefined;
    }
    if (what === "report") return presence.kill(key);
    if (what === "prune")
      return presence.prune().then((pruned) => this.#say(who, `pruned ${JSON.stringify(pruned)}`));
    if (what === "list") {
      return presence.list().then(({ keys, confirmed }) => {
        const states = keys.map((state) => `${state.key} ${state.alive ? "alive" : "dead"}`);
        return this.#say(who, `lists ${states.join(", ") || "nothing"}${confirmed ? "" : ", not confirmed"}`);
      });
    }
    const pinger = this.#pinger(who, program, key, argument);
    if (what === "start") return pinger.start();
    if (what === "kill") return pinger.kill();
    if (what === "update") return pinger.update(JSON.parse(argument ?? "null"));
    if (what === "stop")
      return pinger.stop(argument === undefined ? {} : { holdMs: Number(argument) * PERIOD_MS });
    throw new Error(`unknown command: ${what}`);
  }

  #pinger(who: string, program: Program, key: string, meta: string | undefined): Pinger {
    const known = program.pingers.get(key);
    if (known !== undefined) return known;
    const pinger = program.presence.pinger(
      key,
      meta === undefined ? {} : { meta: JSON.parse(meta) as unknown },
    );
    pinger.on("killed", () => this.#say(who, `${key} was killed by another`));
    program.pingers.set(key, pinger);
    return pinger;
  }

  #watch(who: string, program: Program, target: string, isSlow: boolean): void {
    program.watcher ??= program.presence.watcher();
    const wanted = target.endsWith("*") ? { prefix: target.slice(0, -1) } : target;
    const tell = ({ key, alive, cause, holders }: Change): void => {
      const by = holders.map(
        ({ session, meta }) => `${session}${meta === null ? "" : ` ${JSON.stringify(meta)}`}`,
      );
      this.#say(
        who,
        `${key} ${alive ? "alive" : "dead"} (${cause})${alive ? ` held by ${by.join(" and ")}` : ""}`,
      );
    };
    if (!isSlow) return program.watcher.watch(wanted, tell);
    const changes = program.watcher.changes(wanted);
    this.#slow.set(
      who,
      () => void changes.next().then(({ value }) => (value === undefined ? undefined : tell(value))),
    );
  }

  #resume({ pause, link }: Program): void {
    pause.on = false;
    for (const callback of pause.due.splice(0)) callback();
    link.resume();
  }

  async #open(who: string): Promise<Program> {
    const feed = { isSilent: false };
    const link = new FaultyStore(silenceable(this.#store, () => feed.isSilent));
    const pause: Program["pause"] = { on: false, due: [] };
    const clock: Clock = {
      now: () => this.#manual.now(),
      monotonic: () => this.#manual.monotonic(),
      random: () => this.#random.next(),
      setTimer: (callback, ms) =>
        this.#manual.setTimer(() => void (pause.on ? pause.due.push(callback) : callback()), ms),
    };
    const [, name = "main"] = who.split("@");
    const opening = Presence.open(link, { name, periodMs: PERIOD_MS, retentionSlots: 10, clock });
    await this.#manual.advance(0);
    const presence = await opening;
    presence.on("lapse", () => this.#say(who, "lapse"));
    presence.on("health", ({ state, reason }) =>
      this.#say(who, `is ${state}${reason === undefined ? "" : `: ${reason}`}`),
    );
    const program: Program = { link, presence, pingers: new Map(), watcher: undefined, pause, feed };
    this.#programs.set(who, program);
    return program;
  }

  #say(who: string, what: string): void {
    this.trace.push(`${this.#now.toFixed(2).padStart(8)}  ${who.padEnd(3)} ${what}`);
  }
}
