/** Doing one thing for many, in turn and at once. */
import { wait } from "../measure/time.ts";

/** Calls `act` with 0 to count - 1, so many at a time. */
export async function forMany(
  count: number,
  atOnce: number,
  act: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const run = async (): Promise<void> => {
    while (next < count) await act(next++);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, run));
}

/** Calls `act` with 0 to count - 1, each at a moment of its own within `spanMs`. Resolves when that has passed. */
export async function spreadOver(
  spanMs: number,
  count: number,
  act: (index: number) => Promise<unknown>,
): Promise<void> {
  const end = wait(spanMs);
  await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      await wait((spanMs * index) / count);
      await act(index);
    }),
  );
  await end;
}
