/** Bodies that are made piece by piece, each when the client has taken the one before it. */
import type { Clock } from "../core/clock.ts";
import { Semaphore } from "../lib/queue.ts";
import { Slices } from "../lib/timers.ts";

/**
 * The pace at which pieces are made. All bodies share it, in turn: together they are made in slices, so that however
 * many clients there are, the event loop gets its turns.
 */
export class Pace {
  readonly #semaphore = new Semaphore(1);
  readonly #slices: Slices;

  constructor(clock: Clock) {
    this.#slices = new Slices(clock);
  }

  /** Resolves when it is time for the next piece of work. */
  next(): Promise<void> {
    return this.#semaphore.run(async () => {
      if (this.#slices.isOver) await this.#slices.turn();
    });
  }
}

/** The body of the pieces that `next` makes, up to the first that is undefined. */
export function inPieces(
  pace: Pace,
  next: () => Promise<string | undefined>,
  cancelled: () => void = () => {},
): ReadableStream<Uint8Array> {
  const utf8 = new TextEncoder();
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        await pace.next();
        const piece = await next();
        if (piece === undefined) controller.close();
        else controller.enqueue(utf8.encode(piece));
      },
      cancel: cancelled,
    },
    { highWaterMark: 0 },
  );
}
