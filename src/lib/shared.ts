/** What all copies of the module in one process share: bundles, and programs that load it by `import` and `require`. */

/** The value of that name; `make` makes it where no copy has done so. */
export function shared<T extends object>(name: string, make: () => T): T {
  const key = Symbol.for(`heartbit.${name}`);
  const all = globalThis as { [name: symbol]: T | undefined };
  return (all[key] ??= make());
}
