/** Waiting by a given clock: bounded operations, and loops that can be woken and ended. */
import type { Clock } from "../core/clock.ts";
import { GivenUp } from "../core/errors.ts";
import { turn } from "./turn.ts";

/**
 * The result of the operation, or a rejection with `STORE_UNAVAILABLE` if it has not answered within `limitMs`, and for
 * as long as `moreMs` gives more than 0. It is only given up, and may still happen.
 */
export function within<T>(
  clock: Clock,
  limitMs: number,
  what: string,
  operation: Promise<T>,
  moreMs = (): number => 0,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const waitFor = (ms: number, waitedMs: number): (() => void) =>
      clock.setTimer(() => {
        const more = moreMs();
        if (more > 0) cancel = waitFor(more, waitedMs + more);
        else reject(unanswered(waitedMs, what));
      }, ms);
    let cancel = waitFor(limitMs, limitMs);
    operation.then(resolve, reject).finally(() => cancel());
  });
}

function unanswered(waitedMs: number, what: string): GivenUp {
  return new GivenUp(`The store did not answer in ${Math.ceil(waitedMs)} ms (${what}).`);
}

/** Like `within`. On a clock that stands still it also gives up as soon as nothing more happens. */
export function withinOrStill<T>(
  clock: Clock,
  limitMs: number,
  what: string,
  operation: Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const still = clock.settled?.(over.signal).then(() => {
    throw new GivenUp(`The clock stands still (${what}).`);
  });
  const limited = still === undefined ? operation : Promise.race([operation, still]);
  return within(clock, limitMs, what, limited).finally(() => over.abort());
}

/**
 * The result of an operation that is begun again after `againMs` without an answer, since its connection may be dead,
 * and again after twice as long each time, at most `times` times: the first success counts (a hedged request: Dean and
 * Barroso, "The Tail at Scale", 2013). Rejects if all begun so far have failed, and with `STORE_UNAVAILABLE` if none
 * has answered within `limitMs`.
 */
export async function hedged<T>(
  clock: Clock,
  { againMs, times, limitMs }: { readonly againMs: number; readonly times: number; readonly limitMs: number },
  what: string,
  begin: () => Promise<T>,
): Promise<T> {
  const attempts = [begin()];
  for (let [leftMs, pauseMs] = [limitMs, againMs]; ; leftMs -= pauseMs, pauseMs *= 2) {
    const isLast = attempts.length >= times || leftMs <= pauseMs;
    let haveFailed = false;
    const first = Promise.any(attempts).catch(({ errors }: AggregateError) => {
      haveFailed = true;
      throw errors[0];
    });
    try {
      return await within(clock, isLast ? leftMs : pauseMs, what, first);
    } catch (error) {
      if (haveFailed) throw error;
      if (isLast) throw unanswered(limitMs, what);
      attempts.push(begin());
    }
  }
}

/**
 * The items of an iteration, each awaited by `wait`. However it ends, the iteration frees its resources, without
 * waiting for that: the store may be away.
 */
export async function* eachOf<T>(
  items: AsyncIterable<T>,
  wait: (next: Promise<IteratorResult<T>>) => Promise<IteratorResult<T>>,
): AsyncGenerator<T> {
  const iterator = items[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await wait(iterator.next());
      if (done === true) return;
      yield value;
    }
  } finally {
    void iterator.return?.().catch(() => {});
  }
}

/** Pending work that can be given up all at once. */
export class Waits {
  readonly #givenUp = new Set<(error: Error) => void>();

  /** The result of the work, or a rejection as soon as it is given up. */
  until<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      // Not a race with one shared promise: that would keep every waiter in memory for as long as it is pending.
      this.#givenUp.add(reject);
      work.finally(() => this.#givenUp.delete(reject)).then(resolve, reject);
    });
  }

  giveUp(error: Error): void {
    for (const reject of this.#givenUp) reject(error);
    this.#givenUp.clear();
  }
}

/** Runs one at a time. Calls made during a run share that run. */
export class JoinedRun {
  readonly #run: () => Promise<void>;
  #running: Promise<void> | undefined;

  constructor(run: () => Promise<void>) {
    this.#run = run;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  run(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }
}

/** Runs one at a time. Calls made during a run share the next run, which begins after them. */
export class OneAtATime {
  readonly #runs: JoinedRun;
  #next: Promise<void> | undefined;

  constructor(run: () => Promise<void>) {
    this.#runs = new JoinedRun(run);
  }

  get isRunning(): boolean {
    return this.#runs.isRunning;
  }

  run(): Promise<void> {
    if (!this.isRunning) return this.#runs.run();
    this.#next ??= this.#runs
      .run()
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        return this.run();
      });
    return this.#next;
  }
}

/**
 * How long long work runs before the event loop gets a turn. Two pieces of work may follow each other in one turn, such
 * as an evaluation and the delivery, and the garbage collector takes its 10 ms too.
 */
const SLICE_MS = 4;

/** Long work in slices, so that nothing else has to wait, least of all a ping. */
export class Slices {
  readonly #clock: Clock;
  #end: number;
  #leftMs = SLICE_MS;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#end = clock.monotonic() + SLICE_MS;
  }

  /** Whether it is time for `turn`. */
  get isOver(): boolean {
    return this.#clock.monotonic() >= this.#end;
  }

  /** Gives the event loop a turn. */
  async turn(): Promise<void> {
    await turn();
    this.#end = this.#clock.monotonic() + SLICE_MS;
  }

  /** Does work that may take several slices. The first has only what the last work left of its own. */
  async continueIn(work: (slices: this) => Promise<void>): Promise<void> {
    this.#end = this.#clock.monotonic() + this.#leftMs;
    if (this.isOver) await this.turn();
    await work(this).finally(() => (this.#leftMs = Math.max(0, this.#end - this.#clock.monotonic())));
  }

  /** Runs all steps. Returns their result. */
  async doAll<T = void>(steps: Iterator<void, T>): Promise<T> {
    for (;;) {
      const { done, value } = steps.next();
      if (done === true) return value;
      if (this.isOver) await this.turn();
    }
  }
}

/** Waits that end early when woken. After `end` nothing waits any more. */
export class Sleeper {
  readonly #clock: Clock;
  readonly #awake = new Set<() => void>();
  #ended = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Resolves after `delayMs` (`Infinity`: only when woken) or when woken, with how many ms late: 0 if woken. */
  sleep(delayMs: number): Promise<number> {
    if (this.#ended) return Promise.resolve(0);
    const due = this.#clock.monotonic() + Math.max(0, delayMs);
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        this.#awake.delete(end);
        resolve(Math.max(0, this.#clock.monotonic() - due));
      };
      const cancel = delayMs === Infinity ? (): void => {} : this.#clock.setTimer(end, delayMs);
      this.#awake.add(end);
    });
  }

  wake(): void {
    for (const end of this.#awake) end();
  }

  end(): void {
    this.#ended = true;
    this.wake();
  }
}
