/** Many keys at once, written as pingers write them: through the store's port. */
import { isHeartbitError } from "../../src/core/errors.ts";
import type { Namespace, Write } from "../../src/core/store.ts";

const WRITES_AT_ONCE = 5000;
/** A server that writes out a million records stands still for seconds. */
const TRIES_MAX = 20;

export interface Filling {
  /** The session that holds them: it must be there. */
  readonly session: number;
  readonly slot: number;
  readonly keys: readonly string[];
  /** The number of the first pinger: those before it are taken. */
  readonly firstPinger?: number;
}

export async function fill(namespace: Namespace, fillings: readonly Filling[]): Promise<void> {
  const since = Date.now();
  let writes: Write[] = [];
  for (const { session, slot, keys, firstPinger = 0 } of fillings) {
    for (const [index, key] of keys.entries()) {
      const id = { session, pinger: firstPinger + index, start: 1 };
      writes.push({
        kind: "registration",
        registration: { ...id, key, since, slot, meta: "null", revision: 0 },
      });
      if (writes.length < WRITES_AT_ONCE) continue;
      await persist(() => namespace.write(writes));
      writes = [];
    }
  }
  await persist(() => namespace.write(writes));
}

/** As a program does: what was not answered is asked again. What heartbit writes may be written twice. */
export async function persist<T>(call: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await call();
    } catch (error) {
      if (!isHeartbitError(error, "STORE_UNAVAILABLE") || tries === TRIES_MAX) throw error;
    }
  }
}

/** The numbers below are for the presences that open a session themselves. */
const FIRST_SESSION = 1024;

/** So many sessions that have just been opened; gives their numbers. Each is kept alive by pings with its number. */
export async function fillSessions(namespace: Namespace, count: number, slot: number): Promise<number[]> {
  const opened = Date.now();
  const seqs = Array.from({ length: count }, (_, index) => FIRST_SESSION + index);
  for (let first = 0; first < count; first += WRITES_AT_ONCE) {
    const writes = seqs
      .slice(first, first + WRITES_AT_ONCE)
      .map((seq): Write => ({ kind: "session", session: { seq, host: "bench", pid: seq, opened, slot } }));
    await persist(() => namespace.write(writes));
  }
  return seqs;
}
