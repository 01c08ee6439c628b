import { expect, it } from "vitest";
import { planMail } from "../../src/core/mail.ts";
import type { PingRecord } from "../../src/core/bits.ts";
import { StoreTime } from "../../src/core/store-time.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { pingsOf } from "./histories.ts";

const PERIOD_MS = 1000;

/** A store's time of 100.5 slots, after a raise of the offset by three. */
function raised(): StoreTime {
  const clock = new ManualClock();
  const time = new StoreTime(clock, PERIOD_MS);
  time.learn(clock.monotonic(), clock.monotonic(), 97.5 * PERIOD_MS, 0);
  time.raise(3);
  return time;
}

function pings(slot: number, stampedAt: number, ...seqs: number[]): PingRecord {
  return { ...pingsOf(slot, seqs)[0]!, ms: stampedAt * PERIOD_MS };
}

it("mail goes where a process pings next that does not know of the raised offset", () => {
  const pinged = [pings(96, 96.2, 1), pings(97, 97.2, 1, 2), pings(100, 97.3, 3)];
  const { slots, seqs } = planMail(pinged, raised(), 3);
  expect(slots).toEqual(new Set([97, 100]));
  expect(new Set(seqs)).toEqual(new Set([1, 2, 3]));
});

it("mail goes also where one pings that knows of an earlier raise, and to nobody if nobody pings", () => {
  expect([...planMail([pings(98, 96.4, 1)], raised(), 3).slots]).toContain(99);
  expect(planMail([], raised(), 3)).toEqual({ slots: new Set(), seqs: [] });
});
