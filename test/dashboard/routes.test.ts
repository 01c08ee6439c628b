import { describe, expect, it } from "vitest";
import { dashboard } from "../../src/dashboard/index.ts";
import { Bench } from "../presence/support.ts";
import { newStage, type Stage, StreamClient, TOKEN, words } from "./support.ts";

const WRITES = { token: TOKEN, allowWrites: true };
const codeOf = async (response: Response): Promise<unknown> =>
  ((await response.json()) as { error: { code: unknown } }).error.code;

const get = (ask: Stage["ask"], headers: Record<string, string>): Promise<Response> =>
  ask("/api/keys", { headers });

describe("GET /api/keys", () => {
  it("lists the live keys, those with a prefix, the dead, or all, in their order", async () => {
    const { bench, ask } = await newStage();
    const { presence: holder } = await bench.open();
    const dead = holder.pinger("w/2");
    await Promise.all([
      holder.pinger("w/3").start(),
      dead.start(),
      holder.pinger("w/1", { meta: 7 }).start(),
    ]);
    await holder.pinger("other").start();
    await bench.periods(1);
    await dead.kill();
    await bench.periods(1);
    const listed = async (query: string): Promise<string[]> => {
      const { keys } = (await (await ask(`/api/keys${query}`)).json()) as { keys: { key: string }[] };
      return keys.map(({ key }) => key);
    };
    expect(await listed("")).toEqual(["other", "w/1", "w/3"]);
    expect(await listed("?prefix=w/")).toEqual(["w/1", "w/3"]);
    expect(await listed("?state=dead")).toEqual(["w/2"]);
    expect(await listed("?state=all&prefix=w")).toEqual(["w/1", "w/2", "w/3"]);
    expect(await (await ask("/api/keys?prefix=w/1")).json()).toEqual({
      asOf: expect.any(String) as string,
      health: { state: "healthy" },
      totals: { alive: 3, dead: 1 },
      keys: [
        {
          key: "w/1",
          alive: true,
          since: "2026-01-01T00:00:05.000Z",
          holders: [
            {
              session: 2,
              host: expect.any(String) as string,
              pid: process.pid,
              since: "2026-01-01T00:00:05.000Z",
              meta: 7,
            },
          ],
        },
      ],
    });
  });

  it("gives page after page", async () => {
    const { bench, ask } = await newStage();
    const { presence: holder } = await bench.open();
    const keys = ["a", "b", "c", "d", "e"];
    await Promise.all(keys.map((key) => holder.pinger(key).start()));
    await bench.periods(1);
    const found: string[] = [];
    let after: string | undefined = "";
    while (after !== undefined) {
      const answer = await ask(`/api/keys?limit=2&after=${after}`);
      const page = (await answer.json()) as { keys: { key: string }[]; next?: string };
      found.push(...page.keys.map(({ key }) => key));
      after = page.next;
    }
    expect(found).toEqual(keys);
  });

  it.each(["?state=undead", "?limit=0", "?limit=10001", "?limit=x", `?prefix=${"x".repeat(1025)}`])(
    "refuses %s",
    async (query) => {
      const { ask } = await newStage();
      expect((await ask(`/api/keys${query}`)).status).toBe(400);
    },
  );

  it("ends a page early where metas are large, and says where to go on", async () => {
    const { bench, ask } = await newStage();
    const { presence: holder } = await bench.open();
    const meta = "x".repeat(16_000);
    const keys = Array.from({ length: 400 }, (_, index) => `key-${String(index).padStart(3, "0")}`);
    await Promise.all(keys.map((key) => holder.pinger(key, { meta }).start()));
    await bench.periods(1);
    const first = await (await ask("/api/keys")).text();
    expect(first.length).toBeLessThan(5 * 1024 * 1024);
    const { keys: some, next } = JSON.parse(first) as { keys: { key: string }[]; next: string };
    expect(next).toBe(some.at(-1)?.key);
    const rest = (await (await ask(`/api/keys?after=${next}`)).json()) as {
      keys: { key: string }[];
      next?: string;
    };
    expect([...some, ...rest.keys].map(({ key }) => key)).toEqual(keys);
    expect(rest.next).toBeUndefined();
  });

  it("gives keys by their names, as far as they are known", async () => {
    const { bench, ask } = await newStage();
    const { presence: holder } = await bench.open();
    await Promise.all(["a", "b,c", "d\n", "e"].map((key) => holder.pinger(key).start()));
    await bench.periods(1);
    const listed = async (query: string): Promise<unknown> => {
      const { keys, next } = (await (await ask(`/api/keys?${query}`)).json()) as {
        keys: { key: string }[];
        next?: string;
      };
      return [keys.map(({ key }) => key), next];
    };
    expect(await listed("keys=e&keys=b,c&keys=d%0A&keys=never&keys=e")).toEqual([
      ["b,c", "d\n", "e"],
      undefined,
    ]);
    expect(await listed("keys=e&keys=a&limit=1")).toEqual([["a"], "a"]);
    expect(await listed("keys=e&keys=a&after=a")).toEqual([["e"], undefined]);
    expect((await ask("/api/keys?keys=")).status).toBe(400);
  });

  it.each([
    ["/api/keys?perfix=a"],
    ["/api/keys?limit=1&limit=2"],
    ["/api/keys?key=a&state=all"],
    ["/api/keys?prefix=%FF"],
    ["/api/keys/a?state=all"],
    ["/api/keys/a?key=a"],
    ["/api/changes?prefix=a"],
    ["/api/pulse?before=1"],
  ])("refuses %s: a parameter that it does not know, or not there, or not so", async (path) => {
    const { ask } = await newStage();
    const answer = await ask(path);
    expect([answer.status, await codeOf(answer)]).toEqual([400, "BAD_REQUEST"]);
  });

  it("says so while its state may be out of date, and for how long", async () => {
    const { bench, ask, link } = await newStage();
    const { presence: holder } = await bench.open();
    await holder.pinger("a").start();
    await bench.periods(1);
    const told = async (path: string): Promise<{ stale?: true; staleMs?: number }> =>
      (await (await ask(path)).json()) as object;
    expect(await told("/api/keys")).not.toHaveProperty("stale");
    link.fail();
    await bench.periods(4);
    const before = await told("/api/keys");
    expect(before).toMatchObject({ stale: true, health: { state: "stale" }, keys: [{ key: "a" }] });
    expect(await told("/api/keys?key=a")).toMatchObject({ key: "a", stale: true, staleMs: before.staleMs });
    await bench.periods(1);
    expect((await told("/api/keys")).staleMs).toBe((before.staleMs ?? 0) + 5000);
    link.heal();
    await bench.periods(4);
    expect(await told("/api/keys")).not.toHaveProperty("stale");
  });

  it("fails while the namespace is gone, and goes on by itself when it is there again", async () => {
    const stage = await newStage();
    const { bench, ask } = stage;
    const { presence: other } = await bench.open();
    await other.pinger("before").start();
    await bench.periods(1);
    const client = new StreamClient(await ask("/api/changes"));
    await client.all();
    await client.close();
    const stream = new StreamClient(await ask("/api/changes"));
    await stream.all();
    await other.drop();
    for (let period = 0; period < 10 && (await ask("/healthz")).status === 200; period++)
      await bench.periods(1);
    const answer = await ask("/api/keys");
    expect([answer.status, answer.headers.get("retry-after"), await codeOf(answer)]).toEqual([
      503,
      "2",
      "NOT_WATCHING",
    ]);
    expect((await ask("/api/keys/before")).status).toBe(503);
    expect((await ask("/healthz")).status).toBe(503);
    const { presence: again } = await bench.open();
    await again.pinger("after").start();
    for (let period = 0; period < 30 && (await ask("/healthz")).status !== 200; period++)
      await bench.periods(1);
    expect((await ask("/healthz")).status).toBe(200);
    expect(await (await ask("/api/keys?state=all")).json()).toMatchObject({
      totals: { alive: 1 },
      keys: [{ key: "after" }],
    });
    const told = words(await stream.all());
    expect(told.slice(told.indexOf("snapshot"))).toEqual(["snapshot", "keys after:1", "past", "ready"]);
    expect(
      words(
        await new StreamClient(
          await ask("/api/changes", { headers: { "last-event-id": client.lastId! } }),
        ).all(),
      )[0],
    ).toBe("hello anew");
  });

  it("says so while the keys are not loaded because the store is away", async () => {
    const bench = new Bench();
    const { presence, link } = await bench.open();
    link.fail();
    const { handler, close } = dashboard(presence);
    const asked = handler(new Request("http://localhost/api/keys"));
    await bench.periods(2);
    const answer = await asked;
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "2"]);
    expect(await codeOf(answer)).toBe("NOT_LOADED");
    link.heal();
    await bench.periods(4);
    expect((await handler(new Request("http://localhost/api/keys"))).status).toBe(200);
    await close();
  });

  it("forgets the dead after the retention", async () => {
    const { bench, ask } = await newStage();
    const { presence: holder } = await bench.open();
    await holder.pinger("lives").start();
    const pinger = holder.pinger("a");
    await pinger.start();
    await bench.periods(1);
    await pinger.kill();
    await bench.periods(115);
    expect((await ask("/api/keys/a")).status).toBe(200);
    await bench.periods(12);
    expect((await ask("/api/keys/a")).status).toBe(404);
    expect(await (await ask("/api/keys")).json()).toMatchObject({ totals: { alive: 1, dead: 0 } });
  });
});

describe("GET /api/keys/:key", () => {
  it("returns one key, whatever its name", async () => {
    const { bench, ask } = await newStage();
    const { presence: holder } = await bench.open();
    const keys = [
      "a/b",
      "a//b/",
      "%2F",
      "100%",
      "☃ 😀",
      "a?b#c&d=e",
      "\u0000",
      "__proto__",
      "kill",
      "a+b",
      "x/kill",
      "a\nb",
      "a\rb",
      "a\u2028b",
    ];
    await Promise.all(keys.map((key) => holder.pinger(key).start()));
    await bench.periods(1);
    for (const key of keys) {
      const answer = await ask(`/api/keys/${encodeURIComponent(key)}`);
      expect(await answer.json()).toMatchObject({ key, alive: true });
    }
    expect(await (await ask("/api/keys/a/b")).json()).toMatchObject({ key: "a/b" });
    expect((await ask("/api/keys/never")).status).toBe(404);
    expect((await ask("/api/keys/%FF")).status).toBe(400);
    expect((await ask(`/api/keys/${"x".repeat(1025)}`)).status).toBe(400);
  });
});

describe("PUT /api/keys/:key", () => {
  it("holds the key for the ttl, for longer where it is asked again, and then stops it", async () => {
    const { bench, order } = await newStage(WRITES);
    const put = (body: unknown): Promise<Response> =>
      order("/api/keys/job", { method: "PUT", body: JSON.stringify(body) });
    const first = await put({ ttl: 12_000, meta: { lang: "py" } });
    expect(first.status).toBe(201);
    expect(await first.json()).toEqual({ key: "job", session: 1, ttl: 12_000 });
    const state = async (): Promise<unknown> => (await order("/api/keys/job")).json();
    expect(await state()).toMatchObject({ alive: true, holders: [{ meta: { lang: "py" } }] });
    await bench.clock.advance(10_000);
    expect((await put({ ttl: 12_000 })).status).toBe(200);
    await bench.clock.advance(11_000);
    expect(await state()).toMatchObject({ alive: true, holders: [{ meta: { lang: "py" } }] });
    await put({ ttl: 12_000, meta: 2 });
    await bench.clock.advance(100);
    expect(await state()).toMatchObject({ alive: true, holders: [{ meta: 2 }] });
    await bench.clock.advance(12_000 + 2.5 * 5000);
    expect(await state()).toMatchObject({ alive: false, holders: [] });
    expect((await put({ ttl: 12_000 })).status).toBe(201);
  });

  it.each([
    ".",
    "..",
    "a\nb",
    "a\rb",
    "a\u2028b",
    "\0",
    "a/b",
    "a+b c",
    "kill",
    "%2e",
    "\u{1F600}",
    "x/../y",
    "k".repeat(1024),
    "\n".repeat(1024),
  ])("holds, tells, kills and lets go of the key %j, given in the query or in the body", async (key) => {
    const { bench, presence, order } = await newStage(WRITES);
    const query = `key=${encodeURIComponent(key)}`;
    const body = JSON.stringify({ key });
    expect((await order(`/api/keys?${query}&ttl=60000`, { method: "PUT" })).status).toBe(201);
    expect(
      (await order("/api/keys", { method: "PUT", body: JSON.stringify({ key, ttl: 60_000 }) })).status,
    ).toBe(200);
    await bench.periods(1);
    expect(await (await order(`/api/keys?${query}`)).json()).toMatchObject({ key, alive: true });
    expect((await presence.list({ key })).keys).toMatchObject([{ key, alive: true }]);
    for (const [path, init] of [
      [`/api/keys/kill?${query}`, { method: "POST" }],
      ["/api/keys/kill", { method: "POST", body }],
    ] as const) {
      expect(await (await order(path, init)).json()).toMatchObject({ key });
      await bench.periods(1);
    }
    expect((await order("/api/keys", { method: "DELETE", body })).status).toBe(200);
    expect((await order(`/api/keys?${query}`, { method: "DELETE" })).status).toBe(404);
    await bench.periods(1);
    expect(await (await order(`/api/keys?${query}`)).json()).toMatchObject({ key, alive: false });
  });

  it.each([
    ["PUT", "/api/keys?ttl=60000", undefined],
    ["PUT", "/api/keys?ttl=60000&key=", undefined],
    ["PUT", "/api/keys?ttl=60000&key=a&key=b", undefined],
    ["PUT", "/api/keys?ttl=60000&key=a", '{"key":"a"}'],
    ["PUT", "/api/keys/a?ttl=60000", '{"key":"b"}'],
    ["PUT", "/api/keys/a?ttl=60000&meta=1", undefined],
    ["PUT", "/api/keys?ttl=60000", '{"key":1}'],
    ["DELETE", "/api/keys", undefined],
    ["DELETE", "/api/keys/a?key=b", undefined],
    ["POST", "/api/keys/kill", undefined],
    ["POST", "/api/keys/a/kill?why=1", undefined],
  ])("refuses %s %s with the body %s: no key, or more than one", async (method, path, body) => {
    const { order } = await newStage(WRITES);
    expect((await order(path, { method, ...(body === undefined ? {} : { body }) })).status).toBe(400);
  });

  it("takes the ttl in the query, without a body", async () => {
    const { order } = await newStage(WRITES);
    expect((await order("/api/keys/job?ttl=5000", { method: "PUT" })).status).toBe(201);
  });

  it.each([
    ["no ttl", "/api/keys/a", undefined],
    ["a short ttl", "/api/keys/a", '{"ttl":999}'],
    ["a long ttl", "/api/keys/a", '{"ttl":86400001}'],
    ["a ttl that is no number", "/api/keys/a", '{"ttl":"30s"}'],
    ["no JSON", "/api/keys/a", "{"],
    ["no object", "/api/keys/a", "[1]"],
    ["a meta that is too large", "/api/keys/a", JSON.stringify({ ttl: 5000, meta: "x".repeat(17_000) })],
    ["a key that is too long", `/api/keys/${"x".repeat(1025)}`, '{"ttl":5000}'],
  ])("refuses %s", async (_what, path, body) => {
    const { order } = await newStage(WRITES);
    const answer = await order(path, { method: "PUT", ...(body === undefined ? {} : { body }) });
    expect(answer.status).toBe(400);
    expect((await order("/api/keys/a")).status).toBe(404);
  });

  it("refuses a body of more than 32 KiB, also one that does not say how long it is", async () => {
    const { order } = await newStage(WRITES);
    const body = JSON.stringify({ ttl: 5000, meta: "x".repeat(33_000) });
    expect((await order("/api/keys/a", { method: "PUT", body })).status).toBe(413);
    const chunk = new TextEncoder().encode("x".repeat(10_000));
    let pulled = 0;
    const endless = new ReadableStream({
      pull(controller) {
        controller.enqueue(chunk);
        pulled++;
      },
    });
    const init = { method: "PUT", body: endless, duplex: "half" };
    const answer = await order("/api/keys/a", init);
    expect(answer.status).toBe(413);
    expect(pulled).toBeLessThan(10);
  });

  it("holds at most 1,000 keys", async () => {
    const { order } = await newStage(WRITES);
    const put = (key: string): Promise<Response> => order(`/api/keys/${key}?ttl=60000`, { method: "PUT" });
    await Promise.all(Array.from({ length: 1000 }, (_, index) => put(`k${index}`)));
    const answer = await put("one-more");
    expect([answer.status, await codeOf(answer)]).toEqual([429, "TOO_MANY_HELD"]);
    expect((await put("k0")).status).toBe(200);
  });

  it("answers within 5 s where the store is away, and holds the key when it is back", async () => {
    const { bench, order, link } = await newStage(WRITES);
    link.pause();
    const asked = order("/api/keys/a?ttl=60000", { method: "PUT" });
    await bench.clock.advance(5000);
    expect((await asked).status).toBe(503);
    link.resume();
    await bench.periods(4);
    expect(await (await order("/api/keys/a")).json()).toMatchObject({ alive: true });
  });

  it("what is held outlives a close for the rest of its ttl", async () => {
    const { bench, order, dashboard: closing } = await newStage(WRITES);
    const { presence: other } = await bench.open();
    const alive = async (): Promise<boolean | undefined> => (await other.list({ key: "a" })).keys[0]?.alive;
    await order("/api/keys/a?ttl=60000", { method: "PUT" });
    await closing.close();
    other.watcher().watch("a", () => {}); // so that somebody pings
    await bench.periods(10);
    expect(await alive()).toBe(true);
    await bench.periods(6);
    expect(await alive()).toBe(false);
  });
});

describe("PUT /api/keys/:key after another has dropped the namespace", () => {
  it("holds the key again", async () => {
    const { bench, presence, order } = await newStage(WRITES);
    const { presence: other } = await bench.open();
    const put = (): Promise<Response> => order("/api/keys/a?ttl=600000", { method: "PUT" });
    expect((await put()).status).toBe(201);
    await other.drop();
    await bench.periods(10); // it is noticed
    expect((await put()).status).toBe(201);
    expect((await presence.list({ key: "a" })).keys).toMatchObject([{ key: "a", alive: true }]);
  });
});

describe("PUT /api/keys/:key after a close", () => {
  it("holds nothing that nobody would let go of", async () => {
    const { bench, order, dashboard: closing } = await newStage(WRITES);
    const { presence: other } = await bench.open();
    await closing.close();
    const answer = await order("/api/keys/a?ttl=60000", { method: "PUT" });
    expect([answer.status, await codeOf(answer)]).toEqual([503, "PRESENCE_CLOSED"]);
    expect((await other.list({ key: "a" })).keys).toEqual([]);
  });
});

describe("DELETE /api/keys/:key", () => {
  it("kills what is held here, and nothing else", async () => {
    const { bench, order } = await newStage(WRITES);
    const { presence: holder } = await bench.open();
    await holder.pinger("a").start();
    await order("/api/keys/b?ttl=60000", { method: "PUT" });
    await bench.periods(1);
    expect((await order("/api/keys/a", { method: "DELETE" })).status).toBe(404);
    expect((await order("/api/keys/b", { method: "DELETE" })).status).toBe(200);
    await bench.clock.advance(100);
    expect(await (await order("/api/keys/a")).json()).toMatchObject({ alive: true });
    expect(await (await order("/api/keys/b")).json()).toMatchObject({ alive: false });
    expect((await order("/api/keys/b", { method: "DELETE" })).status).toBe(404);
  });
});

describe("POST /api/keys/:key/kill", () => {
  it("reports the key dead, whoever holds it", async () => {
    const { bench, order } = await newStage(WRITES);
    const { presence: holder } = await bench.open();
    const pinger = holder.pinger("a/b").on("killed", () => void pinger.stop());
    await pinger.start();
    await bench.periods(1);
    const answer = await order("/api/keys/a%2Fb/kill", { method: "POST" });
    expect(await answer.json()).toEqual({ key: "a/b", ended: 1 });
    await bench.periods(1);
    expect(await (await order("/api/keys/a%2Fb")).json()).toMatchObject({ alive: false });
  });

  it("answers within 5 s where the store is away", async () => {
    const { bench, order, link } = await newStage(WRITES);
    link.pause();
    const asked = order("/api/keys/a/kill", { method: "POST" });
    await bench.clock.advance(5000);
    const answer = await asked;
    expect([answer.status, await codeOf(answer)]).toEqual([503, "STORE_UNAVAILABLE"]);
    link.resume();
  });
});

describe("a path that is written in another way", () => {
  it("names no other key than the one that is in it", async () => {
    const { order, bench } = await newStage(WRITES);
    const { presence } = await bench.open();
    const keys = ["foo", "foo/", "foo/k", "s/foo"].map((key) => presence.pinger(key));
    await Promise.all(keys.map((pinger) => pinger.start()));
    for (const path of ["/api/keys/foo/kill/", "/api/keys/foo/kil%6c", "/ap%69/keys/foo/kill"]) {
      const { status } = await order(path, { method: "POST" });
      expect([path, status]).toEqual([path, 404]);
    }
  });
});

describe("which requests are accepted", () => {
  it.each([
    "localhost",
    "localhost:7077",
    "x.localhost",
    "127.0.0.1:7077",
    "[::1]:7077",
    "10.1.2.3",
    "LOCALHOST",
  ])("answers for the host %s", async (host) => {
    const { ask } = await newStage();
    expect((await get(ask, { host })).status).toBe(200);
  });

  it.each(["evil.example", "evil.example:7077", "localhost.evil.example", "127.0.0.1.evil.example", ""])(
    "refuses the host %j, which may be another's name for this machine",
    async (host) => {
      const { ask } = await newStage();
      for (const path of ["/api/keys", "/", "/api/changes", "/metrics", "/api/pulse"]) {
        const answer = await ask(path, { headers: { host } });
        expect([answer.status, await codeOf(answer)]).toEqual([421, "FORBIDDEN_HOST"]);
      }
    },
  );

  it("answers for the hosts that it is given, in any case", async () => {
    const { ask } = await newStage({ hosts: ["Ops.Example.net"] });
    expect((await get(ask, { host: "ops.example.net:443" })).status).toBe(200);
    expect((await get(ask, { host: "example.net" })).status).toBe(421);
  });

  it.each([
    { origin: "http://evil.example" },
    { origin: "http://localhost:7078" },
    { origin: "null" },
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" },
  ])("refuses a page of another site: %j", async (headers: Record<string, string>) => {
    const { ask, order } = await newStage(WRITES);
    const own = { host: "localhost:7077", ...headers };
    expect(await codeOf(await get(ask, own))).toBe("FORBIDDEN_ORIGIN");
    const write = await order("/api/keys/a?ttl=5000", { method: "PUT", headers: own });
    expect([write.status, await codeOf(write)]).toEqual([403, "FORBIDDEN_ORIGIN"]);
    expect((await order("/api/keys/a")).status).toBe(404);
  });

  it("answers its own page, behind TLS too", async () => {
    const { ask } = await newStage();
    const host = "localhost:7077";
    for (const origin of ["http://localhost:7077", "https://localhost:7077"]) {
      expect((await get(ask, { host, origin, "sec-fetch-site": "same-origin" })).status).toBe(200);
    }
  });

  it("asks for the token where there is one, for all but the page and /healthz", async () => {
    const { ask } = await newStage({ token: TOKEN, metrics: async () => "" });
    for (const path of ["/api/keys", "/api/keys/a", "/api/changes", "/api/pulse", "/metrics"]) {
      for (const authorization of [
        undefined,
        "",
        "Bearer",
        `Bearer ${TOKEN}x`,
        `Basic ${TOKEN}`,
        "Bearer a b",
      ]) {
        const answer = await ask(path, authorization === undefined ? {} : { headers: { authorization } });
        expect([answer.status, await codeOf(answer)]).toEqual([401, "UNAUTHORIZED"]);
        expect(answer.headers.get("www-authenticate")).toBe('Bearer realm="heartbit"');
      }
      const answer = await ask(path, { headers: { authorization: `bearer ${TOKEN}` } });
      expect(answer.status).not.toBe(401);
      await answer.body?.cancel();
    }
    expect((await ask("/healthz")).status).toBe(200);
  });

  it("takes no write without the option", async () => {
    const { order } = await newStage({ token: TOKEN });
    for (const [path, method] of [
      ["/api/keys/a?ttl=5000", "PUT"],
      ["/api/keys/a", "DELETE"],
      ["/api/keys/a/kill", "POST"],
    ] as const) {
      const answer = await order(path, { method });
      expect([answer.status, await codeOf(answer)]).toEqual([403, "WRITES_OFF"]);
    }
  });

  it("refuses a URL of more than 8,192 characters", async () => {
    const { ask } = await newStage();
    expect((await ask(`/api/keys?x=${"y".repeat(8200)}`)).status).toBe(413);
  });

  it("says what a path takes, and that there is nothing where there is nothing", async () => {
    const { ask, order } = await newStage(WRITES);
    const post = await ask("/healthz", { method: "POST" });
    expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    const list = await order("/api/keys", { method: "POST" });
    expect([list.status, list.headers.get("allow"), await codeOf(list)]).toEqual([
      405,
      "GET, HEAD, PUT, DELETE",
      "METHOD_NOT_ALLOWED",
    ]);
  });

  it("never lets data be kept, framed or taken for a page, in answers and in refusals", async () => {
    const { ask } = await newStage({ metrics: async () => "x 1\n" });
    for (const path of [
      "/api/keys",
      "/api/keys/never",
      "/api/changes",
      "/api/pulse",
      "/metrics",
      "/healthz",
    ]) {
      const { headers, body } = await ask(path);
      expect(headers.get("cache-control")).toBe("no-store");
      expect(headers.get("content-security-policy")).toBe("default-src 'none'; frame-ancestors 'none'");
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      await body?.cancel();
    }
  });
});

describe("GET /healthz", () => {
  it("fails when the presence is stale for longer than is given, without saying why", async () => {
    const { bench, ask, link } = await newStage({ staleAfterMs: 20_000 });
    expect([(await ask("/healthz")).status, await (await ask("/healthz")).json()]).toEqual([
      200,
      { state: "healthy" },
    ]);
    link.fail();
    await bench.periods(2);
    const early = await ask("/healthz");
    expect(early.status).toBe(200);
    const { since, ...rest } = (await early.json()) as { since: string };
    expect(rest).toEqual({ state: "stale" });
    await bench.clock.advance(Date.parse(since) + 20_000 - bench.clock.now());
    expect((await ask("/healthz")).status).toBe(200);
    await bench.clock.advance(1);
    expect((await ask("/healthz")).status).toBe(503);
    link.heal();
    await bench.periods(4);
    expect((await ask("/healthz")).status).toBe(200);
  });

  it("fails when the namespace is dropped, and when the presence is closed", async () => {
    const dropped = await newStage();
    const { presence: other } = await dropped.bench.open();
    await other.drop();
    let answer = await dropped.ask("/healthz");
    for (let period = 0; period < 10 && answer.status === 200; period++) {
      await dropped.bench.periods(1); // they notice by themselves
      answer = await dropped.ask("/healthz");
    }
    expect([answer.status, await answer.json()]).toEqual([503, { state: "failed" }]);
    const closed = await newStage();
    await closed.presence.close();
    expect((await closed.ask("/healthz")).status).toBe(503);
  });

  it("answers by any host name", async () => {
    const { ask } = await newStage();
    expect((await ask("/healthz", { headers: { host: "pod-7.example" } })).status).toBe(200);
  });
});

describe("GET /metrics", () => {
  it("is what the option gives", async () => {
    const { ask } = await newStage({ metrics: async () => "heartbit_keys 3\n" });
    const answer = await ask("/metrics");
    expect(await answer.text()).toBe("heartbit_keys 3\n");
    expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  });

  it("is absent without the option, and reveals no internals if it fails", async () => {
    expect((await (await newStage()).ask("/metrics")).status).toBe(404);
    const { ask } = await newStage({ metrics: () => Promise.reject(new Error("secret")) });
    const answer = await ask("/metrics");
    expect([answer.status, await codeOf(answer)]).toEqual([500, "INTERNAL"]);
  });
});

describe("dashboard", () => {
  it("answers below its base path alone", async () => {
    const { bench, ask } = await newStage({ basePath: "/ops/presence/" });
    await bench.periods(1);
    expect((await ask("/ops/presence/api/keys")).status).toBe(200);
    expect((await ask("/ops/presence/healthz")).status).toBe(200);
    expect((await ask("/api/keys")).status).toBe(404);
  });

  it.each([
    [{ basePath: "x" }, "basePath"],
    [{ basePath: "/a b" }, "basePath"],
    [{ hosts: ["a:1"] }, "hosts"],
    [{ hosts: "a" }, "hosts"],
    [{ token: "short" }, "token"],
    [{ token: "with spaces in the middle" }, "token"],
    [{ allowWrites: true }, "allowWrites"],
    [{ allowWrites: "yes", token: TOKEN }, "allowWrites"],
    [{ staleAfterMs: -1 }, "staleAfterMs"],
    [{ staleAfterMs: Number.NaN }, "staleAfterMs"],
    [{ metrics: "x" }, "metrics"],
    [null, "options"],
  ])("refuses the options %j with a sentence that names it, and no token", async (options, name) => {
    const { presence } = await new Bench().open();
    const make = (): unknown => dashboard(presence, options as object);
    expect(make).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
    expect(make).toThrow(name);
    expect(make).not.toThrow("with spaces");
    await presence.close();
  });

  it("refuses what is no presence, and a closed one", async () => {
    expect(() => dashboard({} as never)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
    const { presence } = await new Bench().open();
    await presence.close();
    expect(() => dashboard(presence)).toThrow(expect.objectContaining({ code: "PRESENCE_CLOSED" }));
  });
});
