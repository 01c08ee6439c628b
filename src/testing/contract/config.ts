import assert from "node:assert/strict";
import type { Config } from "../../core/records.ts";
import { CONFIG, configured, type Suite } from "./world.ts";

export const configTests: Suite = (test) => {
  test("nobody has opened a new namespace: its config is undefined, and asking changes nothing", async ({
    ns,
    another,
  }) => {
    assert.equal(await ns.config(), undefined);
    assert.equal(await another().config(), undefined);
  });

  test("configure sets the config where there is none, for every client", async ({ ns, another }) => {
    assert.deepEqual({ ...(await ns.configure(CONFIG)) }, CONFIG);
    assert.deepEqual({ ...(await ns.config()) }, CONFIG);
    assert.deepEqual({ ...(await another().config()) }, CONFIG);
  });

  test("configure gives the config that holds, not the wanted one", async ({ ns, another }) => {
    await ns.configure(CONFIG);
    const second = await another().configure({
      version: 99,
      periodMs: 777,
      offset: 3,
      retentionSlots: 120,
      base: 0,
    });
    assert.deepEqual({ ...second }, CONFIG);
    assert.deepEqual({ ...(await ns.config()) }, CONFIG);
  });

  test(
    "configure raises the retention to the longest of all that agree with the config, and to no other's",
    configured(async ({ ns, another }) => {
      const { retentionSlots } = CONFIG;
      const wanted = (more: number): Config => ({
        ...CONFIG,
        retentionSlots: retentionSlots + more,
        base: 7,
      });
      assert.deepEqual({ ...(await another().configure(wanted(-1))) }, CONFIG);
      await another().configure({ ...wanted(9), periodMs: CONFIG.periodMs + 1 });
      assert.deepEqual({ ...(await ns.config()) }, CONFIG);
      const raised = { ...CONFIG, retentionSlots: retentionSlots + 5 };
      assert.deepEqual({ ...(await another().configure(wanted(5))) }, raised);
      assert.deepEqual({ ...(await ns.config()) }, raised);
    }),
  );

  test("openers at the same time agree on one config", async ({ ns, another }) => {
    const wanted = Array.from({ length: 8 }, (_, index) => ({ ...CONFIG, periodMs: 1000 + index }));
    const given = await Promise.all(wanted.map((config) => another().configure(config)));
    const holds = await ns.config();
    assert.ok(holds !== undefined && wanted.some(({ periodMs }) => periodMs === holds.periodMs));
    for (const config of given) assert.deepEqual({ ...config }, { ...holds });
  });

  test(
    "raiseOffset sets the offset only if it still is the expected one, and gives the one that holds",
    configured(async ({ ns, another }) => {
      assert.equal(await ns.raiseOffset(0, 3), 3);
      assert.equal(await another().raiseOffset(0, 5), 3);
      assert.equal(await ns.raiseOffset(3, 5), 5);
      assert.equal((await another().config())?.offset, 5);
    }),
  );

  test(
    "of simultaneous raises one wins, and all return its offset",
    configured(async ({ ns, another }) => {
      const clients = Array.from({ length: 8 }, another);
      const given = await Promise.all(clients.map((client, index) => client.raiseOffset(0, index + 1)));
      const holds = (await ns.config())?.offset;
      assert.ok(holds !== undefined && holds >= 1 && holds <= 8);
      assert.deepEqual(new Set(given), new Set([holds]));
    }),
  );

  test(
    "configure keeps an offset that was raised",
    configured(async ({ ns, another }) => {
      await ns.raiseOffset(0, 4);
      assert.equal((await another().configure(CONFIG)).offset, 4);
    }),
  );

  test(
    "raiseOffset touches nothing but the offset",
    configured(async ({ ns }) => {
      await ns.raiseOffset(0, 4);
      assert.deepEqual({ ...(await ns.config()) }, { ...CONFIG, offset: 4 });
    }),
  );

  test(
    "nextSeq counts from 1, each number greater than the one before, for all clients",
    configured(async ({ ns, another }) => {
      const client = another();
      const first = await ns.nextSeq();
      const second = await client.nextSeq();
      const third = await ns.nextSeq();
      assert.ok(first >= 1 && second > first && third > second, `${first}, ${second}, ${third}`);
    }),
  );

  test(
    "nextSeq gives no number twice to clients that ask at the same time",
    configured(async ({ another }) => {
      const clients = Array.from({ length: 10 }, another);
      const given = await Promise.all(
        clients.flatMap((client) => Array.from({ length: 20 }, () => client.nextSeq())),
      );
      assert.equal(new Set(given).size, given.length);
      assert.ok(given.every((seq) => Number.isSafeInteger(seq) && seq >= 1));
    }),
  );
};
