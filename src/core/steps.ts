/** Work on very many records is done in steps. Between two of them the caller may give the event loop a turn. */

/** @internal Work in steps, which is complete when the iteration ends. */
export type Steps = Generator<void, void, void>;

/** A step goes through about this many records, or keys. */
export const STEP = 200;

/** @internal Does all steps at once. */
export function doAll(steps: Steps): void {
  while (steps.next().done !== true);
}
