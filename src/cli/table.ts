/** The table of `watch` on a terminal: the live keys and those that died recently, within the available room. */
import type { Change } from "../core/change.ts";
import type { Health } from "../presence/context/health.ts";
import { formatDuration } from "./duration.ts";
import { clip, type Colour, columns, count, formatHolders, printable } from "./text.ts";

/** How long a dead key is still shown, in ms. */
const SHOWN_DEAD_MS = 60_000;
/** A longer key is truncated. */
const KEY_WIDTH_MAX = 40;

interface Row {
  readonly change: Change;
  /** Since when it is alive, or dead, in ms. An update of a holder does not change that. */
  readonly sinceMs: number;
  /** Its holders as text, formatted when it is first shown: their metas may be long. */
  holders?: string;
}

/** The size of a terminal, in characters. */
export interface Room {
  readonly columns: number;
  readonly rows: number;
}

/** What is watched. */
export interface Place {
  /** The namespace, and the prefix. */
  readonly title: string;
  /** The store, without its secrets. */
  readonly store: string;
}

export class Table {
  /** Whether the namespace has been set up. */
  isThere = true;
  readonly #place: Place;
  readonly #rows = new Map<string, Row>();
  #health: Health = { state: "healthy" };

  constructor(place: Place) {
    this.#place = place;
  }

  take(change: Change): void {
    const known = this.#rows.get(change.key);
    const goesOn = known !== undefined && known.change.alive && change.alive;
    const joinedMs = Math.min(...change.holders.map(({ since }) => since.getTime()));
    const startMs = change.alive ? joinedMs : change.at.getTime();
    this.#rows.set(change.key, { change, sinceMs: goesOn ? known.sinceMs : startMs });
  }

  setHealth(health: Health): void {
    this.#health = health;
  }

  /** As many lines as there is room for, none longer than the width. `nowMs`: the store's time. */
  lines(
    { columns: width, rows: height }: Room,
    nowMs: number,
    paint: (colour: Colour, text: string) => string,
  ): string[] {
    this.#forget(nowMs);
    const all = [...this.#rows.values()];
    const isCut = all.length > height - 3;
    const shown = all.toSorted(isCut ? byTime : byKey).slice(0, Math.max(0, height - (isCut ? 4 : 3)));
    const cells = shown.map((row) => [
      clip(printable(row.change.key), KEY_WIDTH_MAX),
      row.change.alive ? "alive" : "dead",
      formatDuration(Math.max(1000, Math.floor((nowMs - row.sinceMs) / 1000) * 1000)), // no flicker
      row.change.cause,
      clip((row.holders ??= formatHolders(row.change.holders)), width),
    ]);
    const [heading = "", ...texts] = columns(
      [["KEY", "STATE", "FOR", "CAUSE", "HOLDERS"], ...cells],
      new Set([2]),
    );
    const body = texts.map((text, index) => {
      const line = clip(text, width);
      return shown[index]?.change.alive === true ? line : paint("red", line);
    });
    const more = isCut
      ? [clip(`${all.length - shown.length} more: those that changed last are shown`, width)]
      : [];
    const { store } = this.#place;
    const where = clip(this.isThere ? store : `${store}: nobody has used the namespace yet`, width);
    const head = [this.#state(width, paint), paint("dim", where), paint("dim", clip(heading, width))];
    return [...head, ...body, ...more].slice(0, height);
  }

  #state(width: number, paint: (colour: Colour, text: string) => string): string {
    let alive = 0;
    for (const { change } of this.#rows.values()) if (change.alive) alive++;
    const dead = this.#rows.size - alive;
    const { state, reason } = this.#health;
    const counts = `${this.#place.title}  ${count(alive, "key")} alive, ${dead} died recently`;
    if (state === "healthy") return paint("bold", clip(counts, width));
    return paint("yellow", clip(`${counts}  STALE: ${printable(reason ?? "")}`, width));
  }

  #forget(nowMs: number): void {
    for (const [key, { change, sinceMs }] of this.#rows) {
      if (!change.alive && nowMs - sinceMs > SHOWN_DEAD_MS) this.#rows.delete(key);
    }
  }
}

function byKey(a: Row, b: Row): number {
  return a.change.key < b.change.key ? -1 : 1;
}

/** Keys that changed last come first. */
function byTime(a: Row, b: Row): number {
  return b.change.at.getTime() - a.change.at.getTime() || byKey(a, b);
}
