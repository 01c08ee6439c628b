/** The same promise. Its rejection is reported to those who await it, which nobody may do yet. */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
