/** The events of the demo, in order. Each scene records what was observed, for the verdict at the end. */
import { systemClock } from "../../lib/system-clock.ts";
import type { Presence } from "../../presence/presence.ts";
import { Sleeper } from "../../lib/timers.ts";
import { CommandError } from "../errors.ts";
import { Observations, type Observation } from "./observations.ts";
import { absence, atOnce, type Bound, runningOut } from "./verdict.ts";
import { WorkerProcess } from "./workers.ts";

const WORKERS = 8;
const PREFIX = "worker-";
/** A scene stops waiting for a report after this many periods, but not before this many ms. */
const GIVE_UP_PERIODS = 12;
const GIVE_UP_MS_MIN = 10_000;
/** How long the restarted worker is away, in periods. */
const RESTART_PERIODS = 0.5;

/** One line of the table: what happened, and how it was reported. */
export interface Scene {
  readonly who: string;
  readonly what: string;
  readonly happenedMs: number;
  readonly told: Observation | undefined;
  readonly vouchedUntilMs?: number;
  /** When it should be reported, if at all, or that this system cannot show it. */
  readonly expected: Bound | "nothing" | "cannot be shown";
}

export interface StoryOptions {
  readonly presence: Presence;
  readonly store: string;
  /** Called with what happens, as it happens. */
  readonly say: (line: string) => void;
  /** Called with each change, as it is reported. */
  readonly reported: (observation: Observation) => void;
}

export class Story {
  readonly observations: Observations;
  readonly scenes: Scene[] = [];
  /** Lapses that workers report: they could not ping, and so may have been reported dead. */
  readonly lapses: string[] = [];
  readonly #options: StoryOptions;
  readonly #workers: WorkerProcess[] = [];
  #paused: WorkerProcess | undefined;
  readonly #sleeper = new Sleeper(systemClock);
  /** The expected reports. Any other report is a fault. */
  readonly #expected = new Set<Observation>();
  readonly #killAll = (): void => {
    for (const worker of this.#workers) if (worker.isRunning) worker.signal("SIGKILL");
  };

  constructor(options: StoryOptions) {
    this.#options = options;
    this.observations = new Observations(options.presence, PREFIX, options);
    process.once("exit", this.#killAll);
  }

  async play(): Promise<void> {
    await this.#start();
    await this.observations.calm(this.#limitMs);
    await this.#pause(1);
    const [stopped, killed, crashed, restarted, paused] = this.#workers;
    if (!stopped || !killed || !crashed || !restarted || !paused) throw new CommandError("too few workers");
    await this.#stop(stopped);
    await this.#kill(killed);
    await this.#crash(crashed);
    const restartedMs = await this.#restart(restarted);
    await this.#pauseAndResume(paused);
    // If watchers had noticed the restart, they would have reported it by now.
    const silentMs = 3 * this.#periodMs;
    await this.#sleeper.sleep(restartedMs + silentMs - systemClock.now());
    for (const worker of this.#workers.slice(5)) this.#lives(worker, "lives to the end");
  }

  /** Unexpected reports: the death of a live worker, or anything reported twice. */
  strays(): Observation[] {
    return this.observations.observed.filter((observation) => !this.#expected.has(observation));
  }

  /** Cuts it short. */
  stop(): void {
    this.#sleeper.end();
    void this.observations.end();
    this.#killAll();
  }

  /** Ends the workers, even paused ones. */
  async end(): Promise<void> {
    await this.observations.end();
    const running = this.#workers.filter(({ isRunning }) => isRunning);
    await Promise.all(
      running.map((worker) => worker.order({ do: "end" }).catch(() => worker.signal("SIGKILL"))),
    );
    await Promise.all(this.#workers.map(({ ended }) => ended));
    process.off("exit", this.#killAll);
  }

  get #periodMs(): number {
    return this.#options.presence.periodMs;
  }

  /** How long a scene waits for a report. */
  get #limitMs(): number {
    return Math.max(GIVE_UP_MS_MIN, GIVE_UP_PERIODS * this.#periodMs);
  }

  // ---- the scenes

  async #start(): Promise<void> {
    const { presence, store, say } = this.#options;
    say(`${WORKERS} workers start, each a process of its own`);
    const { name, periodMs } = presence;
    const start = async (key: string): Promise<{ happenedMs: number; told: Observation | undefined }> => {
      const worker = new WorkerProcess(key, (lapsed, ms) => this.#lapsed(lapsed, ms));
      this.#workers.push(worker);
      const { atMs } = await worker.order({ do: "start", store, name, periodMs, key });
      return { happenedMs: atMs, told: await this.#expect(key, true, -Infinity) };
    };
    const started: Awaited<ReturnType<typeof start>>[] = [];
    // Two at a time: loading eight programs at once would keep a small machine from everything else.
    for (let index = 1; index <= WORKERS; index += 2) {
      started.push(...(await Promise.all([start(`${PREFIX}${index}`), start(`${PREFIX}${index + 1}`)])));
    }
    const lateMs = ({ happenedMs, told }: (typeof started)[number]): number =>
      (told?.atMs ?? Infinity) - happenedMs;
    const slowest = started.reduce((a, b) => (lateMs(b) > lateMs(a) ? b : a));
    this.#add("all eight", "start()", slowest, atOnce(periodMs));
  }

  async #stop(worker: WorkerProcess): Promise<void> {
    await this.#pause(Math.random()); // at any moment of a slot
    this.#say(`${worker.key} stops holding its key: stop()`);
    const { atMs } = await worker.order({ do: "stop" });
    const told = await this.#expect(worker.key, false, atMs);
    this.#add(worker.key, "stop()", { happenedMs: atMs, told }, runningOut(this.#periodMs));
  }

  async #kill(worker: WorkerProcess): Promise<void> {
    this.#say(`${worker.key} kills its key: kill()`);
    const since = systemClock.now();
    const { atMs } = await worker.order({ do: "kill" });
    const told = await this.#expect(worker.key, false, since);
    this.#add(worker.key, "kill()", { happenedMs: atMs, told }, atOnce(this.#periodMs));
  }

  async #crash(worker: WorkerProcess): Promise<void> {
    await this.#pause(Math.random());
    const { vouchedUntilMs } = await worker.order({ do: "report" });
    this.#say(`${worker.key} crashes: kill -9 ${worker.pid}`);
    const happenedMs = worker.signal("SIGKILL");
    const told = await this.#expect(worker.key, false, happenedMs);
    this.#add(worker.key, "kill -9", { happenedMs, told, vouchedUntilMs }, absence(this.#periodMs));
  }

  async #restart(worker: WorkerProcess): Promise<number> {
    const afterMs = RESTART_PERIODS * this.#periodMs;
    this.#say(`${worker.key} restarts: stop(), and start() ${afterMs} ms later`);
    const { atMs } = await worker.order({ do: "restart", afterMs });
    this.#lives(worker, "stop(), start()", atMs);
    return atMs;
  }

  async #pauseAndResume(worker: WorkerProcess): Promise<void> {
    if (process.platform === "win32") {
      this.#say(`Windows cannot pause a process: ${worker.key} is left alone`);
      this.scenes.push({ ...sceneOf(worker, "SIGSTOP"), expected: "cannot be shown" });
      return;
    }
    const { key, pid } = worker;
    await this.#workers.at(-1)?.order({ do: "guard", pid });
    await this.#awaitQuietPart();
    const { vouchedUntilMs } = await worker.order({ do: "report" });
    this.#say(`${key} is paused: kill -STOP ${pid}`);
    this.#paused = worker; // it will have a lapse, rightly
    const pausedMs = worker.signal("SIGSTOP");
    const dead = await this.#expect(key, false, pausedMs);
    this.#add(key, "SIGSTOP", { happenedMs: pausedMs, told: dead, vouchedUntilMs }, absence(this.#periodMs));
    this.#say(`${key} is resumed: kill -CONT ${pid}`);
    const resumedMs = worker.signal("SIGCONT");
    const alive = await this.#expect(key, true, resumedMs);
    const bound = { leastMs: 0, mostMs: this.#periodMs };
    this.#add(key, "SIGCONT", { happenedMs: resumedMs, told: alive }, bound);
  }

  // ---- helpers

  /** On an embedded store, a process that is stopped in the middle of a write would keep the others from writing. */
  async #awaitQuietPart(): Promise<void> {
    const period = this.#periodMs;
    const position = (systemClock.now() / period) % 1;
    // Sessions ping between 10 % and 40 % of a slot.
    if (position < 0.6 || position > 0.9) await this.#pause(((1.6 - position) % 1) + 0.01);
  }

  async #expect(key: string, alive: boolean, sinceMs: number): Promise<Observation | undefined> {
    const told = await this.observations.next(key, alive, sinceMs, this.#limitMs);
    this.#checkGoing();
    if (told !== undefined) this.#expected.add(told);
    return told;
  }

  #add(
    who: string,
    what: string,
    seen: { happenedMs: number; told: Observation | undefined; vouchedUntilMs?: number },
    expected: Bound,
  ): void {
    this.scenes.push({ who, what, expected, ...seen });
  }

  #lives(worker: WorkerProcess, what: string, happenedMs = systemClock.now()): void {
    if (!worker.isRunning) throw new CommandError(`${worker.key} has ended, and should not have.`);
    this.scenes.push({ ...sceneOf(worker, what), happenedMs });
  }

  #say(line: string): void {
    this.#options.say(line);
  }

  #checkGoing(): void {
    if (this.#sleeper.ended) throw new CommandError("The demo was cut short.");
  }

  #lapsed(worker: WorkerProcess, ms: number): void {
    if (worker !== this.#paused) this.lapses.push(`${worker.key} could not ping for ${Math.round(ms)} ms`);
  }

  async #pause(periods: number): Promise<void> {
    await this.#sleeper.sleep(periods * this.#periodMs);
    this.#checkGoing();
  }
}

function sceneOf({ key }: WorkerProcess, what: string): Scene {
  return { who: key, what, happenedMs: systemClock.now(), told: undefined, expected: "nothing" };
}
