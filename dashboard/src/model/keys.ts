/** What the page knows of the keys: their states, in order, and the processes that hold them. */

export type Cause = "initial" | "joined" | "updated" | "stopped" | "killed" | "expired";

export interface Holder {
  readonly session: number;
  readonly host: string;
  readonly pid: number;
  readonly sinceMs: number;
  readonly meta: unknown;
}

/** The same object as long as the key is known, so that keys need not be sorted again. */
export interface Key {
  readonly key: string;
  /** The sort key, in natural order: worker-2 comes before worker-10. */
  readonly order: string;
  alive: boolean;
  sinceMs: number;
  /** The cause of its latest change; undefined if the page has not seen one. */
  cause: Cause | undefined;
  holders: readonly Holder[];
  /** The last holders of a dead key, as far as the page has seen. */
  last: readonly Holder[];
  /** The text that is searched. Made when it is needed. */
  text: string | undefined;
}

type State = Pick<Key, "key" | "alive" | "sinceMs" | "cause" | "holders">;

export interface Change {
  /** Counts the changes that this page has seen. */
  readonly id: number;
  readonly key: string;
  readonly alive: boolean;
  readonly atMs: number;
  readonly cause: Cause;
  readonly holders: readonly Holder[];
}

/** As the server sends it: see docs/dashboard.md. */
export interface KeysPage {
  readonly sessions: readonly (readonly [session: number, host: string, pid: number])[];
  readonly keys: readonly (readonly [
    key: string,
    sinceMs: number,
    holders: readonly (readonly [session: number, sinceMs: number, meta: unknown])[],
  ])[];
}

export interface Process {
  readonly session: number;
  readonly host: string;
  readonly pid: number;
  keys: number;
}

export type Show = "alive" | "dead" | "all";
export type Sort = "key" | "since";

export class Keys {
  readonly #keys = new Map<string, Key>();
  readonly #processes = new Map<number, Process>();
  /** In order, except the new ones. */
  #sorted: Key[] = [];
  #fresh: Key[] = [];
  #alive = 0;
  #version = 0;
  #latest: { readonly of: string; readonly list: readonly Key[] } | undefined;

  get alive(): number {
    return this.#alive;
  }

  get dead(): number {
    return this.#keys.size - this.#alive;
  }

  /** The processes that hold a key. */
  get processes(): ReadonlyMap<number, Process> {
    return this.#processes;
  }

  get(key: string): Key | undefined {
    return this.#keys.get(key);
  }

  clear(): void {
    this.#keys.clear();
    this.#processes.clear();
    this.#sorted = [];
    this.#fresh = [];
    this.#alive = 0;
    this.#version++;
  }

  /** A part of a snapshot. */
  load({ sessions, keys }: KeysPage): void {
    const processes = new Map(sessions.map(([session, host, pid]) => [session, { host, pid }]));
    for (const [key, sinceMs, held] of keys) {
      const holders = held.map(([session, since, meta]) => {
        const { host = "?", pid = 0 } = processes.get(session) ?? {};
        return { session, host, pid, sinceMs: since, meta };
      });
      this.#put({ key, alive: holders.length > 0, sinceMs, cause: undefined, holders });
    }
  }

  change({ key, alive, atMs, cause, holders }: Change): void {
    this.#put({ key, alive, sinceMs: holders[0]?.sinceMs ?? atMs, cause, holders });
  }

  /** Takes a change that the loaded state already includes, oldest first: it says how a key died, and who held it. */
  explain({ key, alive, cause, atMs, holders }: Change): void {
    const known = this.#keys.get(key);
    if (known === undefined || known.alive || atMs > known.sinceMs) return;
    if (alive) Object.assign(known, { last: holders, text: undefined });
    else if (atMs === known.sinceMs) known.cause = cause;
    this.#version++;
  }

  /** Forgets the keys that died before. */
  forgetBefore(ms: number): void {
    const gone = new Set<Key>();
    for (const key of this.#keys.values()) if (!key.alive && key.sinceMs < ms) gone.add(key);
    if (gone.size === 0) return;
    for (const { key } of gone) this.#keys.delete(key);
    this.#sorted = this.#inOrder().filter((key) => !gone.has(key));
    this.#version++;
  }

  /** The keys to show, in order: the same array until something changes. */
  list({ show, query, sort }: { show: Show; query: string; sort: Sort }): readonly Key[] {
    const of = `${this.#version} ${show} ${sort} ${query}`;
    if (this.#latest?.of === of) return this.#latest.list;
    const terms = query.toLowerCase().split(/\s+/).filter(Boolean);
    const list = this.#inOrder().filter((key) => {
      if (show !== "all" && key.alive !== (show === "alive")) return false;
      return terms.every((term) => textOf(key).includes(term));
    });
    if (sort === "since") list.sort((a, b) => b.sinceMs - a.sinceMs);
    this.#latest = { of, list };
    return list;
  }

  #put(state: State): void {
    const known = this.#keys.get(state.key);
    const before = known?.holders ?? [];
    this.#alive += Number(state.alive) - Number(known?.alive ?? false);
    this.#version++;
    if (known === undefined) {
      const key = { ...state, last: [], order: orderOf(state.key), text: undefined };
      this.#keys.set(state.key, key);
      this.#fresh.push(key);
    } else {
      const last = state.alive ? [] : before.length > 0 ? before : known.last;
      Object.assign(known, state, { last, text: undefined });
    }
    for (const { session, host, pid } of state.holders) {
      const process = this.#processes.get(session);
      if (process === undefined) this.#processes.set(session, { session, host, pid, keys: 1 });
      else process.keys++;
    }
    for (const { session } of before) {
      const process = this.#processes.get(session);
      if (process !== undefined && --process.keys === 0) this.#processes.delete(session);
    }
  }

  #inOrder(): Key[] {
    if (this.#fresh.length === 0) return this.#sorted;
    this.#sorted = merge(this.#sorted, this.#fresh.toSorted(byOrder));
    this.#fresh = [];
    return this.#sorted;
  }
}

/** Merges two sorted lists. Compares with few of the many, because usually few new ones come at a time. */
function merge(many: readonly Key[], few: readonly Key[]): Key[] {
  const parts: (readonly Key[])[] = [];
  let from = 0;
  for (const key of few) {
    const to = placeOf(key, many, from);
    parts.push(many.slice(from, to), [key]);
    from = to;
  }
  return [...parts, many.slice(from)].flat();
}

/** The index of the first one, from index `from` on, that comes after the key. */
function placeOf(key: Key, keys: readonly Key[], from: number): number {
  let [low, high] = [from, keys.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = keys[middle];
    if (other !== undefined && byOrder(other, key) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function byOrder(a: Key, b: Key): number {
  return a.order < b.order ? -1 : Number(a.order > b.order);
}

/** Numbers begin with how many digits they have: whoever has more is larger. */
function orderOf(key: string): string {
  return key.replace(/0*(\d+)/g, (_, digits: string) => `${String(digits.length).padStart(4, "0")}${digits}`);
}

function textOf(key: Key): string {
  key.text ??= [
    key.key,
    ...[...key.holders, ...key.last].map(
      ({ host, pid, meta }) => `${host}:${pid} ${meta === null ? "" : JSON.stringify(meta)}`,
    ),
  ]
    .join(" ")
    .toLowerCase();
  return key.text;
}
