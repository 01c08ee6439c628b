/** Listens to abort signals, with one listener for each signal, because Node warns about more than a few. */

const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls `aborted` once, when the signal is aborted, or at once if it already is. Returns a function that ends it. */
export function onAbort(signal: AbortSignal | undefined, aborted: () => void): () => void {
  if (signal === undefined) return () => {};
  if (signal.aborted) {
    aborted();
    return () => {};
  }
  const own = (): void => aborted(); // a new function, so that adding the same one twice makes two listeners
  const others = waiting.get(signal);
  if (others !== undefined) others.add(own);
  else listen(signal, new Set([own]));
  return () => {
    const all = waiting.get(signal);
    if (all?.delete(own) === true && all.size === 0) ignore(signal);
  };
}

/** The result of the work, or a rejection as soon as the signal is aborted: with `error()`, or the signal's reason. */
export function unlessAborted<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
  error = (): unknown => signal?.reason,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const stopListening = onAbort(signal, () => reject(error()));
    work.finally(stopListening).then(resolve, reject);
  });
}

const notify = ({ currentTarget }: Event): void => {
  const signal = currentTarget as AbortSignal;
  const all = waiting.get(signal) ?? [];
  ignore(signal);
  for (const aborted of all) aborted();
};

function listen(signal: AbortSignal, all: Set<() => void>): void {
  waiting.set(signal, all);
  signal.addEventListener("abort", notify);
}

function ignore(signal: AbortSignal): void {
  waiting.delete(signal);
  signal.removeEventListener("abort", notify);
}
