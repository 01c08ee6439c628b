import { describe, expect, it } from "vitest";
import { newStage, refusal, type Stage, StreamClient, words } from "./support.ts";

async function connect({ ask }: Stage, lastEventId = ""): Promise<StreamClient> {
  const response = await ask("/api/changes", { headers: { "last-event-id": lastEventId } });
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  return new StreamClient(response);
}

/** The words of a client that is told everything. */
const ANEW = ["hello anew", "snapshot", "past", "ready"];

/** Reads the stream a chunk at a time. */
async function chunksOf({ ask }: Stage): Promise<() => Promise<string>> {
  const reader = ((await ask("/api/changes")).body as ReadableStream<Uint8Array>).getReader();
  const utf8 = new TextDecoder();
  return async () => utf8.decode((await reader.read()).value);
}

describe("GET /api/changes", () => {
  it("sends its identity, the state of every key, and then each change as it happens", async () => {
    const stage = await newStage();
    const { presence: holder } = await stage.hold(["a"], { port: 1 });
    const client = await connect(stage);
    const [hello, snapshot, keys, past, ready] = await client.all();
    const health = { state: "healthy" };
    expect(hello).toMatchObject({
      event: "hello",
      data: { name: "presence", periodMs: 5000, retentionMs: 600_000, resumed: false, health },
    });
    expect(snapshot).toMatchObject({ event: "snapshot", data: { alive: 1, dead: 0 } });
    expect(keys?.data).toEqual({
      sessions: [[2, expect.any(String), process.pid]],
      keys: [["a", expect.any(Number), [[2, expect.any(Number), { port: 1 }]]]],
    });
    expect(past).toMatchObject({ event: "past", data: [{ key: "a", cause: "joined" }] });
    expect(ready).toMatchObject({ event: "ready", id: expect.stringMatching(/^\w+-1$/) as string });
    const other = holder.pinger("b");
    await other.start();
    await stage.bench.periods(1);
    const [joined] = await client.all();
    expect(joined?.data).toMatchObject({ key: "b", alive: true, cause: "joined", holders: [{ session: 2 }] });
    await other.kill();
    await stage.bench.periods(1);
    expect(words(await client.all())).toEqual(["change b dead killed"]);
  });

  it("sends keys that died before it came as dead", async () => {
    const { bench, hold } = await newStage();
    const { pingers } = await hold(["lives", "died"]);
    await pingers[1]?.kill();
    const client = await connect(await newStage({}, bench));
    const told = words(await client.all());
    expect(told[2]?.split(" ").toSorted()).toEqual(["died:0", "keys", "lives:1"]);
  });

  it("goes on where a lost connection was: each change that was missed, none twice", async () => {
    const stage = await newStage();
    const client = await connect(stage);
    expect(words(await client.all())).toEqual(ANEW);
    const [pinger] = (await stage.hold(["a"])).pingers;
    expect(words(await client.all())).toEqual(["change a alive joined"]);
    await client.close();
    await pinger?.kill();
    await stage.bench.periods(1);
    await pinger?.start();
    await stage.bench.periods(1);
    const again = await connect(stage, client.lastId);
    expect(words(await again.all())).toEqual([
      "hello again",
      "change a dead killed",
      "change a alive joined",
    ]);
    await pinger?.kill();
    await stage.bench.periods(1);
    expect(words(await again.all())).toEqual(["change a dead killed"]);
    expect(words(await (await connect(stage, again.lastId)).all())).toEqual(["hello again"]);
  });

  it("begins again for an id of another dashboard, of the future, or of no kind", async () => {
    const stage = await newStage();
    const client = await connect(stage);
    await client.all();
    const [instance] = client.lastId.split("-");
    for (const id of ["0123456789ab-0", `${instance}-99`, `${instance}--1`, "x", `${instance}-1e3`]) {
      expect(words(await (await connect(stage, id)).all())).toEqual(ANEW);
    }
  });

  it("begins again for a client that was away for longer than changes are kept", async () => {
    const stage = await newStage();
    const client = await connect(stage);
    await client.all();
    await client.close();
    const [pinger] = (await stage.hold(["a"])).pingers;
    const text = "x".repeat(15_000);
    // 8 MiB of changes are kept.
    for (let update = 0; update < 600; update++) {
      await pinger?.update(text + update);
      await stage.bench.clock.advance(1);
    }
    const again = await connect(stage, client.lastId);
    expect(words(await again.all())).toEqual(["hello anew", "snapshot", "keys a:1", "past", "ready"]);
  });

  it("sends a slow client the latest change of each key, from which it can resume", async () => {
    const stage = await newStage();
    const slow = await connect(stage);
    await slow.all(); // has asked for the next chunk
    const { presence, pingers } = await stage.hold(["a"]); // that chunk is made
    const other = presence.pinger("b");
    await other.start();
    for (let update = 0; update < 5; update++) {
      await pingers[0]?.update(update);
      await stage.bench.periods(1);
    }
    await other.kill();
    await stage.bench.periods(1);
    const events = await slow.all();
    expect(words(events)).toEqual([
      "change a alive joined",
      "change a alive updated",
      "change b dead killed",
    ]);
    expect(events[1]?.data).toMatchObject({ holders: [{ meta: 4 }] });
    expect(words(await (await connect(stage, slow.lastId)).all())).toEqual(["hello again"]);
  });

  it("a client that takes nothing while 10,000 keys change gets a new snapshot", async () => {
    const stage = await newStage();
    const slow = await connect(stage);
    await slow.all();
    await stage.hold(["first"]);
    await stage.hold(Array.from({ length: 10_100 }, (_, index) => `k${index}`));
    const events = await slow.all();
    expect(events[1]).toMatchObject({ event: "snapshot", id: "" }); // nothing to go on from until `ready`
    const told = words(events);
    expect(told.slice(0, 2)).toEqual(["change first alive joined", "snapshot"]);
    expect(told.at(-1)).toBe("ready");
    expect(told.join(" ").match(/k\d+:1/g)).toHaveLength(10_100);
  });

  it("a change in the middle of a snapshot is sent with its key, or after it, once", async () => {
    const stage = await newStage();
    const { pingers } = await stage.hold(Array.from({ length: 1200 }, (_, index) => `k${index}`));
    const read = await chunksOf(stage);
    expect(await read()).toMatch(/^event: hello\n/);
    const page = await read();
    const told = [...page.matchAll(/\["(k\d+)"/g)].map(([, key]) => key);
    expect(told).toHaveLength(500);
    const early = pingers.find(({ key }) => told.includes(key));
    const late = pingers.find(({ key }) => !told.includes(key));
    await Promise.all([early?.kill(), late?.kill()]);
    await stage.bench.periods(1);
    let text = "";
    while (!text.includes(`"key":"${early?.key}"`)) text += await read();
    expect(text).toMatch(new RegExp(`\\["${late?.key}",\\d+,\\[\\]\\]`)); // dead
    const changes = [...text.matchAll(/^event: change\nid: \S+\ndata: \{"key":"(\w+)"/gm)];
    expect(changes.map(([, key]) => key)).toEqual([early?.key]);
    // The id of `ready` is before the change that is told after it.
    expect(text).toMatch(/event: ready\nid: \w+-1200\n/);
    expect(text).toMatch(/event: change\nid: \w+-120[12]\n/);
  });

  it("makes no event of a snapshot that is much larger than its keys", async () => {
    const stage = await newStage();
    const keys = Array.from({ length: 100 }, (_, index) => `k${index}`);
    await stage.hold(keys, "x".repeat(16_000));
    const read = await chunksOf(stage);
    const chunks: string[] = [];
    while (!chunks.at(-1)?.includes("event: ready")) chunks.push(await read());
    expect(Math.max(...chunks.map(({ length }) => length))).toBeLessThan(128 * 1024);
    expect(chunks.length).toBeGreaterThan(100 / 8);
  });

  it("waits for a store that is away, and sends the health when it changes", async () => {
    const stage = await newStage();
    const client = await connect(stage);
    await client.all();
    stage.link.fail();
    await stage.bench.periods(2);
    expect(words(await client.all())).toContain("health stale");
    stage.link.heal();
    await stage.bench.periods(4);
    expect(words(await client.all())).toContain("health healthy");
  });

  it("sends a comment where there is nothing to tell for 15 s", async () => {
    const stage = await newStage();
    const read = await chunksOf(stage);
    while (!(await read()).includes("event: ready"));
    let said: string | undefined;
    void read().then((text) => (said = text));
    await stage.bench.clock.advance(14_000);
    expect(said).toBeUndefined();
    await stage.bench.clock.advance(1000);
    expect(said).toMatch(/^:.*\n\n$/);
  });

  it.each(["dashboard", "presence"] as const)(
    "ends when the %s is closed, and tells nothing more",
    async (what) => {
      const stage = await newStage();
      const client = await connect(stage);
      await client.all();
      await stage.hold(["a"]);
      await client.all();
      const late = await stage.ask("/api/changes"); // nothing of it is read yet
      const closing = stage[what].close();
      await stage.bench.periods(1);
      await closing;
      expect(await late.text()).toBe("");
      expect([await client.all(), client.ended]).toEqual([[], true]);
      for (const path of ["changes", "keys", "keys/a", "pulse"])
        expect(await refusal(await stage.ask(`/api/${path}`))).toEqual([503, "PRESENCE_CLOSED"]);
    },
  );

  it("has room for 256 at a time: one that has gone makes room, whether it has read or not", async () => {
    const stage = await newStage();
    const clients = await Promise.all(Array.from({ length: 255 }, () => connect(stage)));
    const status = async (init: RequestInit = {}): Promise<number> =>
      (await stage.ask("/api/changes", init)).status;
    const abort = new AbortController();
    expect(await status({ signal: abort.signal })).toBe(200);
    expect(await refusal(await stage.ask("/api/changes"))).toEqual([503, "TOO_MANY_STREAMS"]);
    abort.abort();
    expect(await status()).toBe(200);
    await clients[0]?.close();
    expect([await status(), await status()]).toEqual([200, 503]);
  });
});
