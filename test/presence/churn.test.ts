import { expect, it } from "vitest";
import { Bench, hear } from "./support.ts";

it("storage stays flat in a day of 500 restarts an hour, and live keys stay alive", async () => {
  const bench = new Bench();
  const { presence } = await bench.open();
  const steady = presence.pinger("steady");
  await steady.start();
  const heard = await hear(presence.watcher(), "steady");
  const hours: number[] = [];
  let max = 0;
  let worker = await bench.open();
  for (let hour = 0; hour < 24; hour++) {
    let total = 0;
    for (let restart = 0; restart < 500; restart++) {
      await worker.presence.pinger(`worker-${restart % 10}`).start();
      if (restart % 2 === 0) await worker.presence.close();
      else {
        worker.link.pause(); // a crash: nothing of it reaches the store any more
        void worker.presence.close();
      }
      worker = await bench.open();
      await bench.clock.advance(7200);
      const { sessions, registrations, pings } = bench.store.counts("presence");
      total += sessions + registrations + pings;
      max = Math.max(max, sessions + registrations + pings);
    }
    hours.push(total / 500);
  }
  expect(heard).toEqual(["steady alive initial"]);
  // Hours differ by a few per cent; a leak of one record in a hundred restarts would be more.
  const [first, last] = [hours.slice(2, 8), hours.slice(-6)];
  expect(sum(last)).toBeLessThanOrEqual(1.1 * sum(first));
  expect(max).toBeLessThan(1500);
});

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
