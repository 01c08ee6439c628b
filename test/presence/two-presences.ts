/** For each test of a file that imports this: a store, and two presences of one namespace, each behind a link of its own. */
import { beforeEach } from "vitest";
import type { Presence, PresenceOptions } from "../../src/index.ts";
import type { FaultyStore } from "../../src/testing/index.ts";
import { Bench } from "./support.ts";

export let bench: Bench;
export let presence: Presence;
export let link: FaultyStore;
export let other: Presence;
export let otherLink: FaultyStore;

/** Begins again, with a new store, and with these options of both presences. */
export async function begin(options?: PresenceOptions): Promise<void> {
  bench = new Bench();
  ({ presence, link } = await bench.open(options));
  ({ presence: other, link: otherLink } = await bench.open(options));
}

beforeEach(() => begin());
