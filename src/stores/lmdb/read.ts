/** Reading a namespace page by page, each page on a view of its own, so that no view is held for long. */
import type { RegistrationRecord, SessionRecord } from "../../core/records.ts";
import { includesKey } from "../../core/selection.ts";
import type { Page, ReadQuery } from "../../core/store.ts";
import { readRegistration, readHead, readSession, recordOf } from "./draft.ts";
import type { Entry, Environment } from "./environment.ts";
import { behind, changedOf, type KeyRange, type Keys } from "./keys.ts";

const PAGE_ENTRIES = 1000;

/** Where a reader is: in which life of the namespace, and behind which change. */
interface Position {
  readonly life: string | undefined;
  readonly revision: number;
}

/** A part of a read: the entries of a range, and what each adds to the page. */
interface Part {
  readonly range: KeyRange;
  readonly add: (entry: Entry, page: PageDraft) => void;
}

export async function* readPages(
  environment: Environment,
  keys: Keys,
  query: ReadQuery,
): AsyncGenerator<Page, void, undefined> {
  const told = new Set<number>();
  const { parts, position } = environment.view(() => plan(environment, keys, query));
  let first = true;
  do {
    // Others have their turn between two pages.
    if (!first) await new Promise((resolve) => setImmediate(resolve));
    const page = environment.view(() => {
      const draft = new PageDraft(environment, keys, told);
      if (first && query.withRecord === true && query.session !== undefined) draft.addSession(query.session);
      if (first && query.registration !== undefined)
        draft.addRegistration(readRegistration(environment, keys, query.registration));
      fill(environment, parts, draft);
      return draft;
    });
    first = false;
    const { sessions, registrations } = page;
    yield { sessions, registrations, ...(parts.length === 0 ? { cursor: { store: position } } : {}) };
  } while (parts.length > 0);
}

/** What there is to read, and where the reader is then: what changes from now on lies behind. */
function plan(
  environment: Environment,
  keys: Keys,
  { select, session, since }: ReadQuery,
): { parts: Part[]; position: Position } {
  const head = readHead(environment, keys);
  const position: Position = { life: head?.life, revision: head?.revision ?? 0 };
  const from = since?.store as Position | undefined;
  const changes =
    from !== undefined && from.life === position.life
      ? keys.changes(from.revision, position.revision)
      : undefined;
  const isMeant = (registration: RegistrationRecord): boolean =>
    registration.session === session || includesKey(select, registration.key);
  if (changes !== undefined) return { parts: [changesPart(changes, isMeant)], position };
  // Another life of the namespace than the cursor's: all of it is new, the sessions too.
  const parts: Part[] = since === undefined ? [] : [sessionsPart(keys)];
  if (select.all) parts.push(registrationsPart(keys.registrations));
  else {
    if (session !== undefined) parts.push(registrationsPart(keys.registrationsOf(session)));
    for (const key of select.keys) parts.push(keyPart(keys, key));
    for (const prefix of select.prefixes) parts.push(prefixPart(keys, prefix));
  }
  return { parts, position };
}

const sessionsPart = (keys: Keys): Part => ({
  range: keys.sessions,
  add: ({ value }, page) => page.addSession((recordOf(value) as SessionRecord).seq),
});

const registrationsPart = (range: KeyRange): Part => ({
  range,
  add: ({ value }, page) => page.addRegistration(recordOf(value) as RegistrationRecord),
});

/** The registrations found by key, where the key has so many bytes as is asked for. */
const foundPart = (keys: Keys, range: KeyRange, isAsked: (keyBytes: number) => boolean): Part => ({
  range,
  add: (entry, page) => {
    const { id, keyBytes } = keys.found(entry.key);
    if (isAsked(keyBytes)) page.addRegistration(readRegistration(page.environment, keys, id));
  },
});

function keyPart(keys: Keys, key: string): Part {
  const asked = Buffer.byteLength(key);
  return foundPart(keys, keys.ofKey(key), (keyBytes) => keyBytes === asked);
}

function prefixPart(keys: Keys, prefix: string): Part {
  const least = Buffer.byteLength(prefix);
  return foundPart(keys, keys.ofPrefix(prefix), (keyBytes) => keyBytes >= least);
}

const changesPart = (range: KeyRange, isMeant: (registration: RegistrationRecord) => boolean): Part => ({
  range,
  add: ({ value }, page) => {
    const changed = changedOf(value);
    if ("session" in changed) return page.addSession(changed.session);
    const registration = readRegistration(page.environment, page.keys, changed.registration);
    if (registration !== undefined && isMeant(registration)) page.addRegistration(registration);
  },
});

/** Fills the page from the parts, and takes away what of them has been read. */
function fill(environment: Environment, parts: Part[], page: PageDraft): void {
  // A part costs a look even where it has nothing, so it counts as an entry.
  for (let left = PAGE_ENTRIES; left > 0; left--) {
    const part = parts.shift();
    if (part === undefined) return;
    const entries = environment.range(part.range, left);
    for (const entry of entries) part.add(entry, page);
    const last = entries.at(-1);
    if (entries.length === left && last !== undefined)
      parts.unshift({ ...part, range: behind(part.range, last.key) });
    left -= entries.length;
  }
}

class PageDraft {
  readonly environment: Environment;
  readonly keys: Keys;
  readonly sessions: SessionRecord[] = [];
  readonly registrations: RegistrationRecord[] = [];
  /** The sessions that this read has given. */
  readonly #told: Set<number>;

  constructor(environment: Environment, keys: Keys, told: Set<number>) {
    this.environment = environment;
    this.keys = keys;
    this.#told = told;
  }

  addSession(seq: number): void {
    if (this.#told.has(seq)) return;
    const session = readSession(this.environment, this.keys, seq);
    if (session === undefined) return;
    this.#told.add(seq);
    this.sessions.push(session);
  }

  addRegistration(registration: RegistrationRecord | undefined): void {
    if (registration === undefined) return;
    this.addSession(registration.session);
    this.registrations.push(registration);
  }
}
