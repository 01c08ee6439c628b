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
      writes.push({ kind: "being", being: { ...id, key, since, slot, meta: "null", revision: 0 } });
      if (writes.length < WRITES_AT_ONCE) continue;
      await persist(namespace, writes);
      writes = [];
    }
  }
  await persist(namespace, writes);
}

/** As a presence does: what was not answered is written again, which is harmless. */
async function persist(namespace: Namespace, writes: readonly Write[]): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await namespace.write(writes);
      return;
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
    await persist(namespace, writes);
  }
  return seqs;
}
