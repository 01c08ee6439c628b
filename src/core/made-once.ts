/** What `make` makes of an object: once, and then the same again for as long as the object is there. */
export function madeOnce<From extends object, Made>(make: (from: From) => Made): (from: From) => Made {
  let all: WeakMap<From, Made> | undefined; // most are never asked
  return (from) => {
    all ??= new WeakMap<From, Made>();
    let made = all.get(from);
    if (made === undefined) all.set(from, (made = make(from)));
    return made;
  };
}
