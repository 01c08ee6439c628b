/** Time that passes. */

/** Ms by the clock that all processes of a machine share; it never steps. */
export function clockMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** How long it takes, in ms. */
export async function tookMs(act: () => unknown): Promise<number> {
  const began = clockMs();
  await act();
  return clockMs() - began;
}

/** Resolves when the condition holds; rejects where it does not within the limit. */
export async function until(condition: () => boolean, what: string, limitMs = 60_000): Promise<void> {
  const end = clockMs() + limitMs;
  while (!condition()) {
    if (clockMs() > end) throw new Error(`${what}: not within ${limitMs} ms`);
    await wait(2);
  }
}
