import { expect, it } from "vitest";
import { Bench, hear, PERIOD_MS } from "./support.ts";

const RETENTION_SLOTS = 20;
const RESTART_PERIODS = 1.44;
const RESTARTS_IN_A_PART = 200;
const PARTS = 25;
/** From then on there is a second segment of pings, so twice as many documents. */
const STEADY_FROM = 7;

it("storage stays flat while a process is restarted through 360 retentions, and live keys stay alive", async () => {
  const options = { retentionSlots: RETENTION_SLOTS };
  const bench = new Bench();
  const { presence } = await bench.open(options);
  await presence.pinger("steady").start();
  const heard = await hear(presence.watcher(), "steady");
  const parts: number[] = [];
  let max = 0;
  let worker = await bench.open(options);
  for (let part = 0; part < PARTS; part++) {
    let total = 0;
    for (let restart = 0; restart < RESTARTS_IN_A_PART; restart++) {
      await worker.presence.pinger(`worker-${restart % 10}`).start();
      if (restart % 2 === 0) await worker.presence.close();
      else {
        worker.link.pause(); // a crash: nothing of it reaches the store any more
        void worker.presence.close();
      }
      worker = await bench.open(options);
      await bench.clock.advance(RESTART_PERIODS * PERIOD_MS);
      const { sessions, registrations, pings } = bench.store.counts("presence");
      total += sessions + registrations + pings;
      max = Math.max(max, sessions + registrations + pings);
    }
    parts.push(total / RESTARTS_IN_A_PART);
  }
  expect(heard).toEqual(["steady alive initial"]);
  // These means of 110 records differ by a few per cent. A leak of one in fifty restarts would be a third.
  const [first, last] = [parts.slice(STEADY_FROM, STEADY_FROM + 6), parts.slice(-6)];
  expect(sum(last)).toBeLessThanOrEqual(1.2 * sum(first));
  expect(max).toBeLessThan(400);
});

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
