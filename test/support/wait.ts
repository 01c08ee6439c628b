import { isHeartbitError } from "../../src/core/errors.ts";
import { Presence, type PresenceOptions, type Target } from "../../src/index.ts";

/** What takes so long hangs. The runner ends a test a minute later, without saying what it waits for. */
const HANGS_MS = 240_000;

/** Resolves when the condition holds. Rejects, with the condition, when it hangs. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + HANGS_MS;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`This did not come to be: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Resolves when so many ms have passed on this machine's clock: for what must not happen meanwhile. */
export async function passes(ms: number): Promise<void> {
  const end = performance.now() + ms;
  await until(() => performance.now() >= end);
}

/**
 * Whether the promise settles before a timer of so many ms that begins now. Both wait for the event loop of this
 * process: a busy machine delays both and keeps their order, while it changes what a clock says.
 */
export async function settlesWithin(ms: number, promise: Promise<unknown>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, ms, false);
  });
  const settled = promise.then(
    () => true,
    () => true,
  );
  const isInTime = await Promise.race([settled, late]);
  clearTimeout(timer);
  return isInTime;
}

/** The answer of a call, asked again while the store is too busy to give it in time, as a program does. */
export async function answered<T>(call: () => Promise<T>): Promise<T> {
  const end = performance.now() + HANGS_MS;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!isHeartbitError(error, "STORE_UNAVAILABLE") || performance.now() > end) throw error;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

/** A presence. A busy machine may take longer to connect than an opening waits. */
export function opened(target: Target, options: PresenceOptions = {}): Promise<Presence> {
  return answered(() => Presence.open(target, options));
}
