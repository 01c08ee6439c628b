/** @internal Calls a caller's function; what it throws, or rejects with, goes to `report`. */
export function callSafely<Args extends readonly unknown[]>(
  callee: (...args: Args) => unknown,
  args: Args,
  report: (error: unknown) => void,
): void {
  try {
    const result: unknown = callee(...args);
    if (isThenable(result)) result.then(undefined, report);
  } catch (error) {
    report(error);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
