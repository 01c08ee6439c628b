/** The state of the view, in the URL: a link shows the same view, and the back button works. */
import type { Show, Sort } from "./model/keys.ts";

export type View = "keys" | "pulse" | "changes";

export interface Address {
  readonly query: string;
  readonly show: Show;
  readonly sort: Sort;
  /** The key whose page is open. */
  readonly key: string | undefined;
  /** Which part a narrow window shows. */
  readonly view: View;
}

const START: Address = { query: "", show: "alive", sort: "key", key: undefined, view: "keys" };

export function readAddress(): Address {
  const params = new URLSearchParams(location.search);
  const one = <T extends string>(name: string, values: readonly T[], otherwise: T): T =>
    values.find((value) => value === params.get(name)) ?? otherwise;
  return {
    query: params.get("q") ?? START.query,
    show: one("show", ["alive", "dead", "all"], START.show),
    sort: one("sort", ["key", "since"], START.sort),
    key: params.get("key") ?? START.key,
    view: one("view", ["keys", "pulse", "changes"], START.view),
  };
}

/** Adds a step to the history if another page is opened; otherwise replaces the step. */
export function writeAddress(address: Address, step: boolean): void {
  const params = new URLSearchParams();
  if (address.query !== START.query) params.set("q", address.query);
  if (address.show !== START.show) params.set("show", address.show);
  if (address.sort !== START.sort) params.set("sort", address.sort);
  if (address.view !== START.view) params.set("view", address.view);
  if (address.key !== undefined) params.set("key", address.key);
  const text = params.toString();
  const url = text === "" ? location.pathname : `?${text}`;
  try {
    if (step) history.pushState(null, "", url);
    else history.replaceState(null, "", url);
  } catch {
    // Safari refuses more than 100 in 10 s, which somebody who types reaches. The next one has it all.
  }
}
