/** The same promise. Its rejection is reported to those who await it, which nobody may do yet. */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** Waits for it, and ignores a rejection. */
export async function quietly(work: Promise<unknown> | undefined): Promise<void> {
  await work?.catch(() => {});
}
