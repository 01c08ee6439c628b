/** The simulated world: one true time, and what happens in it, in order. */
import { setImmediate as turn } from "node:timers/promises";
import { Agenda } from "../../src/testing/agenda.ts";

export class World {
  /** The true time, in ms since the world began. Nobody in the world can read it. */
  now = 0;
  readonly #agenda = new Agenda();

  /** Plans `act` for a true time. The result cancels it. */
  at(time: number, act: () => void): () => void {
    return this.#agenda.plan(Math.max(time, this.now), act);
  }

  after(delayMs: number, act: () => void): () => void {
    return this.at(this.now + delayMs, act);
  }

  /** Lets all happen up to a true time; each happening settles, with all its promises, before the next. */
  async runUntil(end: number): Promise<void> {
    await settle();
    for (let next = this.#agenda.take(end); next !== undefined; next = this.#agenda.take(end)) {
      this.now = next.due;
      next.act();
      await settle();
    }
    this.now = end;
  }
}

/**
 * Node runs every promise to its end before the next tick, which is cheaper than a turn of the event loop. Long work
 * waits for such a turn, rarely.
 */
async function settle(): Promise<void> {
  await new Promise((resolve) => process.nextTick(resolve));
  while (process.getActiveResourcesInfo().includes("Immediate")) await turn();
}
