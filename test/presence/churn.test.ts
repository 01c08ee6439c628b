import { expect, it } from "vitest";
import { Bench, hear } from "./support.ts";

it(
  "storage stays flat in a week of 1,000 restarts an hour, and who lives is alive",
  { timeout: 120_000 },
  async () => {
    const bench = new Bench();
    const { presence } = await bench.open();
    const steady = presence.pinger("steady");
    await steady.start();
    const heard = await hear(presence.watcher(), "steady");
    const counts: number[] = [];
    let worker = await bench.open();
    for (let hour = 0; hour < 7 * 24; hour++) {
      for (let restart = 0; restart < 1000; restart++) {
        await worker.presence.pinger(`worker-${restart % 10}`).start();
        if (restart % 2 === 0) await worker.presence.close();
        else {
          worker.link.pause(); // a crash: nothing of it reaches the store any more
          void worker.presence.close();
        }
        worker = await bench.open();
        await bench.clock.advance(3600);
      }
      const { sessions, registrations, pings } = bench.store.counts("presence");
      counts.push(sessions + registrations + pings);
    }
    expect(heard).toEqual(["steady alive initial"]);
    const [first, last] = [counts.slice(2, 26), counts.slice(-24)];
    // By their sums: pruning is by chance, so single hours differ.
    expect(sum(last)).toBeLessThanOrEqual(1.3 * sum(first));
    expect(Math.max(...counts)).toBeLessThan(3000);
  },
);

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
