/** The health of a presence that neither holds nor watches: no ping and no evaluation shows that the store answers. */
import { expect, it } from "vitest";
import { HeartbitError } from "../../src/core/errors.ts";
import { Bench, refusal, restartable } from "./support.ts";

it("is healthy again once the store is found", async () => {
  const bench = new Bench();
  const { presence, restart } = await restartable(bench);
  restart();
  await bench.periods(20);
  await presence.list();
  expect(presence.health).toEqual({ state: "healthy" });
});

it("is healthy again after a start that was refused for good", async () => {
  const bench = new Bench();
  let error = new HeartbitError("STORE_UNAVAILABLE", "It is away.");
  const presence = await bench.openWith(() => ({ ping: () => Promise.reject(error) }));
  const starting = expect(presence.pinger("k").start()).rejects.toEqual(refusal("NOT_PERMITTED"));
  await bench.periods(1);
  expect(presence.health.state).toBe("stale");
  error = new HeartbitError("NOT_PERMITTED", "It refuses.");
  await bench.periods(1);
  await starting;
  expect(presence.health).toEqual({ state: "healthy" });
});

it("stays stale after another has dropped the namespace, and does not set it up again", async () => {
  const bench = new Bench();
  const [{ presence }, { presence: other }] = [await bench.open(), await bench.open()];
  const pinger = presence.pinger("k");
  const killed: string[] = [];
  pinger.on("killed", () => killed.push(pinger.state));
  await pinger.start();
  await bench.periods(2);
  await other.drop();
  await bench.periods(20);
  expect(killed).toEqual(["killed"]);
  expect(presence.health).toMatchObject({ state: "stale", reason: 'The namespace "presence" was dropped.' });
  expect(await bench.stored.config()).toBeUndefined();
  await pinger.start();
  await bench.periods(1);
  expect(presence.health).toEqual({ state: "healthy" });
});
