/** How a reader that polls finds out what has changed: by the difference of what it reads. */

/** Reads now and then every `everyMs`. The result ends it. Resolves when the first state is known. */
export async function pollAlive(
  read: () => Promise<readonly string[]>,
  everyMs: number,
  told: (key: string, alive: boolean) => void,
): Promise<() => void> {
  let known = new Set(await read());
  const look = async (): Promise<void> => {
    const now = new Set(await read());
    for (const key of known) if (!now.has(key)) told(key, false);
    for (const key of now) if (!known.has(key)) told(key, true);
    known = now;
  };
  const timer = setInterval(() => void look().catch(() => {}), everyMs);
  return () => clearInterval(timer);
}

/** Does it now and then every `everyMs`. The result ends it. Resolves when it has been done once. */
export async function repeat(act: () => Promise<void>, everyMs: number): Promise<() => void> {
  await act();
  const timer = setInterval(() => void act().catch(() => {}), everyMs);
  return () => clearInterval(timer);
}
