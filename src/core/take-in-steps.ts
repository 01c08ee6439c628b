import type { Roster, Steps } from "./roster.ts";
import type { Page } from "./store.ts";

/** A step takes about this many registrations. */
const STEP_REGISTRATIONS = 100;

/** Takes a page into a roster, except registrations of keys that are not wanted. */
export function* takeInSteps(
  roster: Roster,
  { sessions, registrations }: Page,
  isWanted: (key: string) => boolean,
): Steps {
  for (const session of sessions) roster.session(session);
  for (const [index, registration] of registrations.entries()) {
    if (isWanted(registration.key)) roster.registration(registration);
    if (index % STEP_REGISTRATIONS === 0) yield;
  }
}
