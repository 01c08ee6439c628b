/** @internal Calls a user's function. Errors that it throws or rejects with go to `report`. */
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
