/** What the browser keeps beyond this page, where it may: with cookies blocked, every use of a storage throws. */

type Kind = "localStorage" | "sessionStorage";

export function recall(kind: Kind, name: string): string | null {
  try {
    return window[kind].getItem(name);
  } catch {
    return null;
  }
}

/** Null: forgets it. */
export function remember(kind: Kind, name: string, value: string | null): void {
  try {
    if (value === null) window[kind].removeItem(name);
    else window[kind].setItem(name, value);
  } catch {
    // Only this page knows it.
  }
}
