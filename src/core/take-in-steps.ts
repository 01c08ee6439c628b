import type { Roster } from "./roster.ts";
import { STEP, type Steps } from "./steps.ts";
import type { Page } from "./store.ts";

/** A page that touches more registrations is taken in steps even where it could be taken at once. */
const MANY = 2000;

export function touchesMany(roster: Roster, { sessions, registrations }: Page): boolean {
  return sessions.reduce((sum, { seq }) => sum + roster.countOf(seq), registrations.length) > MANY;
}

/** Takes a page into a roster, except registrations of keys that are not wanted. */
export function* takeInSteps(
  roster: Roster,
  { sessions, registrations }: Page,
  isWanted: (key: string) => boolean,
): Steps {
  for (const session of sessions) yield* roster.addSessionInSteps(session);
  for (const [index, registration] of registrations.entries()) {
    if (isWanted(registration.key)) roster.addRegistration(registration);
    if (index % STEP === 0) yield;
  }
}
