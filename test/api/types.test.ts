/** What a program in strict TypeScript may do with what it is given: the compiler is the judge. */
import { expect, it } from "vitest";
import { type Change, type Holder, Presence } from "../../src/index.ts";
import { MemoryStore } from "../../src/testing/index.ts";

interface Work {
  readonly queue: string;
  readonly step?: number;
}

it("metas have the type that the program gives them, and null where none was given", async () => {
  const presence = await Presence.open<Work>(new MemoryStore());
  const pinger = presence.pinger("k", { meta: { queue: "mail" } });
  await pinger.start();
  await pinger.update({ queue: "mail", step: 2 });
  // @ts-expect-error -- a queue is a text
  const wrong = { meta: { queue: 5 } } satisfies Parameters<typeof presence.pinger>[1];
  expect(wrong.meta.queue).toBe(5);
  const { keys } = await presence.list();
  const holders: Holder<Work>[] = keys.flatMap((state) => state.holders); // the receiver may keep them
  const queues: (string | undefined)[] = holders.map(({ meta }) => meta?.queue);
  expect(queues).toEqual(["mail"]);
  presence.watcher().watch("k", ({ holders: [holder] }) => queues.push(holder?.meta?.queue));
  const changes: AsyncIterable<Change<Work>> = presence.watcher().changes("k");
  for await (const change of changes) {
    expect(change.holders).toEqual(holders);
    break;
  }
  const untyped: Presence = presence; // what takes any presence takes this one
  await untyped.close();
});
