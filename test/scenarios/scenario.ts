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
import { type Change, type Clock, type Pinger, Presence, type Watcher } from "../../src/index.ts";
import { FaultyStore, ManualClock, MemoryStore } from "../../src/testing/index.ts";
import { Diary, type LifeDiary } from "../judge/diary.ts";
import type { Finding } from "../judge/case.ts";
import { judge } from "../judge/judge.ts";
import type { Fault } from "../judge/log.ts";
import { silenceable } from "../presence/support.ts";
import { Random } from "../simulator/random.ts";

const PERIOD_MS = 1000;
const RETENTION_SLOTS = 10;
/** What a read and a ping take, in slots: no time at all, but the clocks move by hundredths of a slot. */
const ROUND_TRIP = 0.1;
/** Slots are counted from here. */
const START = Math.ceil(Date.UTC(2026, 0, 1) / PERIOD_MS) * PERIOD_MS;

interface Program {
  readonly diary: LifeDiary;
  /** How many times each key was started. */
  readonly starts: Map<string, number>;
  readonly link: FaultyStore;
  readonly presence: Presence;
  readonly pingers: Map<string, Pinger>;
  watcher: Watcher | undefined;
  readonly pause: { on: boolean; readonly due: (() => void)[] };
  readonly feed: { isSilent: boolean };
}

/** Runs the commands of a scenario; gives the trace, and what the judge says of it. */
export async function runScenario(text: string): Promise<{ trace: string[]; findings: Finding[] }> {
  const story = new Story();
  for (const line of text.split("\n")) {
    const match = /^\s+([\d.]+) {2}(.*)$/.exec(line);
    if (match?.[1] === undefined || match[2] === undefined) continue;
    await story.advanceTo(Number(match[1]));
    await story.command(match[2].trim().split(/\s+/));
  }
  return { trace: story.trace, findings: story.judge() };
}

class Story {
  readonly trace: string[] = [];
  readonly #manual = new ManualClock({ start: START });
  readonly #random = new Random(1);
  readonly #storeClock = new ManualClock({ start: START });
  readonly #store = new MemoryStore({ clock: this.#storeClock });
  readonly #programs = new Map<string, Program>();
  readonly #slow = new Map<string, () => void>();
  /** One for each namespace. */
  readonly #diaries = new Map<string, Diary>();

  get #now(): number {
    return this.#manual.monotonic() / PERIOD_MS;
  }

  async advanceTo(slot: number): Promise<void> {
    const step = 10;
    while (this.#now < slot - 1e-9) {
      await this.#storeClock.advance(step);
      await this.#manual.advance(step);
      for (const program of this.#programs.values()) sample(program, this.#manual);
    }
  }

  judge(): Finding[] {
    const roundTripMs = ROUND_TRIP * PERIOD_MS;
    const settings = { periodMs: PERIOD_MS, retentionSlots: RETENTION_SLOTS, roundTripMs, reconnectMs: 0 };
    return [...this.#diaries.values()].flatMap((diary) => judge(diary.log(settings)).findings);
  }

  #fault(fault: Omit<Fault, "from" | "to">, lastsMs = 0): void {
    const faults = Array.from(this.#diaries.values(), (diary) => diary.fault(fault));
    this.#manual.setTimer(() => {
      for (const one of faults) one.to = this.#manual.monotonic();
    }, lastsMs);
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
      const stepMs = slots * PERIOD_MS;
      this.#storeClock.step(stepMs);
      this.#fault({ kind: "a step of the store's clock", who: "all", effect: "disturbed", stepMs });
      return;
    }
    this.#fault({ kind: "an outage", who: "all", effect: "cut off" }, slots * PERIOD_MS);
    for (const { link } of this.#programs.values()) {
      link.fail();
      this.#manual.setTimer(() => link.heal(), slots * PERIOD_MS);
    }
  }

  #run(who: string, program: Program, what: string, rest: string[]): Promise<unknown> | undefined {
    const [key = "", argument] = rest;
    const { presence, link, pause, feed, diary, starts } = program;
    if (what === "slow") return this.#watch(who, program, rest[1] ?? "", true);
    if (what === "watch") return this.#watch(who, program, key, false);
    if (what === "take") this.#slow.get(who)?.();
    if (what === "take") return undefined;
    if (what === "crash" || what === "pause") {
      link.pause();
      pause.on = true;
      if (what === "crash") diary.end("crashed");
      else this.#pause(program, Number(key) * PERIOD_MS);
      return undefined;
    }
    if (what === "close") return this.#close(program, key === "linger");
    if (what === "feed" && key === "silent") {
      feed.isSilent = true;
      this.#fault({ kind: "a silent feed", who: [who], effect: "disturbed", isHint: true }, Infinity);
      return undefined;
    }
    if (what === "feed") {
      this.#fault({ kind: "a lost feed", who: [who], effect: "disturbed" });
      link.fail();
      link.heal();
      return undefined;
    }
    if (what === "report") {
      diary.note({ e: "kills", key });
      return presence.kill(key).then(() => diary.note({ e: "has killed", key }));
    }
    if (what === "prune")
      return presence.prune().then((pruned) => this.#say(who, `pruned ${JSON.stringify(pruned)}`));
    if (what === "list") {
      return presence.list().then(({ keys, confirmed }) => {
        const states = keys.map((state) => `${state.key} ${state.alive ? "alive" : "dead"}`);
        return this.#say(who, `lists ${states.join(", ") || "nothing"}${confirmed ? "" : ", not confirmed"}`);
      });
    }
    const pinger = this.#pinger(who, program, key, argument);
    if (what === "start") return this.#start(program, pinger);
    if (what === "update") {
      const meta = JSON.stringify(JSON.parse(argument ?? "null"));
      diary.note({ e: "updating", key, meta });
      return pinger.update(JSON.parse(meta)).then(() => diary.note({ e: "updated", key, meta }));
    }
    if (what !== "kill" && what !== "stop") throw new Error(`unknown command: ${what}`);
    const n = starts.get(key) ?? 0;
    const hold = argument === undefined ? {} : { holdMs: Number(argument) * PERIOD_MS };
    diary.note({ e: "ending", key, n, how: what === "kill" ? "killed" : "stopped", ...hold });
    const ended = what === "kill" ? pinger.kill() : pinger.stop(hold);
    return ended.then(() => diary.note({ e: "ended", key, n }));
  }

  #pinger(who: string, program: Program, key: string, meta: string | undefined): Pinger {
    const known = program.pingers.get(key);
    if (known !== undefined) return known;
    const options = meta === undefined ? {} : { meta: JSON.parse(meta) as unknown };
    const pinger = program.presence.pinger(key, options);
    pinger.on("killed", () => {
      program.diary.note({ e: "killed", key });
      this.#say(who, `${key} was killed by another`);
    });
    program.pingers.set(key, pinger);
    return pinger;
  }

  #watch(who: string, program: Program, target: string, isSlow: boolean): undefined {
    program.watcher ??= program.presence.watcher();
    const wanted = target.endsWith("*") ? { prefix: target.slice(0, -1) } : target;
    const { diary } = program;
    // A listener that takes nothing knows nothing: the judge does not ask it.
    if (!isSlow) diary.note({ e: "watches", id: target, target: wanted });
    const tell = ({ key, alive, cause, holders }: Change): void => {
      const told = holders.map(({ session, since, meta }) => {
        return { session, since: since.getTime(), meta: JSON.stringify(meta) };
      });
      diary.note({ e: "reported", id: target, change: { key, alive, cause, holders: told } });
      const by = holders.map(
        ({ session, meta }) => `${session}${meta === null ? "" : ` ${JSON.stringify(meta)}`}`,
      );
      this.#say(
        who,
        `${key} ${alive ? "alive" : "dead"} (${cause})${alive ? ` held by ${by.join(" and ")}` : ""}`,
      );
    };
    if (!isSlow) program.watcher.watch(wanted, tell);
    if (!isSlow) return;
    const changes = program.watcher.changes(wanted);
    this.#slow.set(
      who,
      () => void changes.next().then(({ value }) => (value === undefined ? undefined : tell(value))),
    );
  }

  async #start(program: Program, pinger: Pinger): Promise<void> {
    const { diary, starts } = program;
    const { key } = pinger;
    const n = (starts.get(key) ?? 0) + 1;
    starts.set(key, n);
    diary.note({ e: "starting", key, n });
    await pinger.start();
    sample(program, this.#manual);
    diary.note({ e: "started", key, n });
  }

  async #close({ presence, diary }: Program, linger: boolean): Promise<void> {
    diary.note({ e: "closing", linger });
    await presence.close({ linger });
    diary.note({ e: "closed" });
    diary.end("closed");
  }

  #pause(program: Program, ms: number): void {
    const who = [program.diary.life.name];
    this.#fault({ kind: "a pause", who, effect: "cut off", isPause: true }, ms);
    this.#manual.setTimer(() => this.#resume(program), ms);
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
    const options = { name, periodMs: PERIOD_MS, retentionSlots: RETENTION_SLOTS, clock };
    const opening = Presence.open(link, options);
    await this.#manual.advance(0);
    const presence = await opening;
    const diary = this.#diaryOf(name).born(who, 1);
    diary.note({ e: "opened" });
    presence.on("lapse", () => {
      diary.note({ e: "lapse" });
      this.#say(who, "lapse");
    });
    presence.on("health", ({ state, reason }) => {
      diary.note({ e: "health", state });
      this.#say(who, `is ${state}${reason === undefined ? "" : `: ${reason}`}`);
    });
    const own = { starts: new Map<string, number>(), pingers: new Map<string, Pinger>(), watcher: undefined };
    const program: Program = { diary, link, presence, pause, feed, ...own };
    this.#programs.set(who, program);
    return program;
  }

  #diaryOf(namespace: string): Diary {
    const known = this.#diaries.get(namespace) ?? new Diary(() => this.#manual.monotonic());
    this.#diaries.set(namespace, known);
    return known;
  }

  #say(who: string, what: string): void {
    this.trace.push(`${this.#now.toFixed(2).padStart(8)}  ${who.padEnd(3)} ${what}`);
  }
}

/** Logs what cannot be listened to. */
function sample({ presence, diary }: Program, clock: ManualClock): void {
  const { session, vouchedUntil } = presence;
  const latest = diary.life.lines.findLast(({ e }) => e === "session");
  if (session !== undefined && (latest?.e !== "session" || latest.session !== session))
    diary.note({ e: "session", session });
  if (vouchedUntil === null || diary.life.to !== Infinity) return;
  const until = clock.monotonic() + vouchedUntil.getTime() - clock.now();
  const lease = diary.life.lines.findLast(({ e }) => e === "lease");
  if (lease?.e !== "lease" || Math.abs(lease.until - until) > 1) diary.note({ e: "lease", until });
}
