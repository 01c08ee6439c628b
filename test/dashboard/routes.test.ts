import { describe, expect, it } from "vitest";
import { dashboard } from "../../src/dashboard/index.ts";
import { Bench } from "../presence/support.ts";
import {
  newStage,
  refusal,
  type Stage,
  StreamClient,
  TOKEN,
  untilHealthIs,
  words,
  WRITES,
} from "./support.ts";

/** The keys of a listing, and where to go on. */
async function listed({ json }: Stage, query: string): Promise<{ keys: string[]; next?: string }> {
  const page = (await json(`/api/keys${query}`)) as { keys: { key: string }[]; next?: string };
  const keys = page.keys.map(({ key }) => key);
  return page.next === undefined ? { keys } : { keys, next: page.next };
}

const ODD_KEYS = [
  ". .. x/../y a/b a//b/ kill x/kill %2e %2F 100% a?b#c&d=e __proto__".split(" "),
  ["a+b c", "a\nb", "a\rb", "a\u2028b", "\0", "☃ \u{1F600}", "k".repeat(1024), "\n".repeat(1024)],
].flat();

/** The method, the path and the query of a line such as `GET /api/keys`. */
const requestOf = (line: string): [path: string, init: { method: string }] => {
  const [method = "", path = ""] = line.split(" ");
  return [path, { method }];
};

describe("GET /api/keys", () => {
  it("lists the live keys, those with a prefix, the dead, or all, in their order", async () => {
    const stage = await newStage();
    const { pingers } = await stage.hold(["w/3", "w/2", "w/1"], 7);
    await stage.hold(["other"]);
    await pingers[1]?.kill();
    await stage.bench.periods(1);
    expect(await listed(stage, "")).toEqual({ keys: ["other", "w/1", "w/3"] });
    expect(await listed(stage, "?prefix=w/")).toEqual({ keys: ["w/1", "w/3"] });
    expect(await listed(stage, "?state=dead")).toEqual({ keys: ["w/2"] });
    expect(await listed(stage, "?state=all&prefix=w")).toEqual({ keys: ["w/1", "w/2", "w/3"] });
    const since = "2026-01-01T00:00:05.000Z";
    const host = expect.any(String) as string;
    expect(await stage.json("/api/keys?prefix=w/1")).toEqual({
      asOf: expect.any(String) as string,
      health: { state: "healthy" },
      totals: { alive: 3, dead: 1 },
      keys: [
        { key: "w/1", alive: true, since, holders: [{ session: 2, host, pid: process.pid, since, meta: 7 }] },
      ],
    });
  });

  it("gives page after page, and those keys alone that are named", async () => {
    const stage = await newStage();
    await stage.hold(["a", "b,c", "d\n", "e"]);
    expect(await listed(stage, "?limit=3")).toEqual({ keys: ["a", "b,c", "d\n"], next: "d\n" });
    expect(await listed(stage, "?limit=3&after=d%0A")).toEqual({ keys: ["e"] });
    const named = await listed(stage, "?keys=e&keys=b,c&keys=d%0A&keys=never&keys=e");
    expect(named).toEqual({ keys: ["b,c", "d\n", "e"] });
    expect(await listed(stage, "?keys=e&keys=a&limit=1")).toEqual({ keys: ["a"], next: "a" });
    expect(await listed(stage, "?keys=e&keys=a&after=a")).toEqual({ keys: ["e"] });
  });

  it("ends a page early where metas are large, and says where to go on", async () => {
    const stage = await newStage();
    const keys = Array.from({ length: 400 }, (_, index) => `key-${String(index).padStart(3, "0")}`);
    await stage.hold(keys, "x".repeat(16_000));
    expect((await (await stage.ask("/api/keys")).text()).length).toBeLessThan(5 * 1024 * 1024);
    const first = await listed(stage, "");
    expect(first.next).toBe(first.keys.at(-1));
    const rest = await listed(stage, `?after=${first.next}`);
    expect([...first.keys, ...rest.keys]).toEqual(keys);
    expect(rest.next).toBeUndefined();
  });

  it("says so while its state may be out of date, and for how long", async () => {
    const { bench, json, link, hold } = await newStage();
    await hold(["a"]);
    expect(await json("/api/keys")).not.toHaveProperty("stale");
    link.fail();
    await bench.periods(4);
    const before = (await json("/api/keys")) as { staleMs: number };
    expect(before).toMatchObject({ stale: true, health: { state: "stale" }, keys: [{ key: "a" }] });
    expect(await json("/api/keys?key=a")).toMatchObject({ key: "a", stale: true, staleMs: before.staleMs });
    await bench.periods(1);
    expect(await json("/api/keys")).toMatchObject({ staleMs: before.staleMs + 5000 });
    link.heal();
    await bench.periods(4);
    expect(await json("/api/keys")).not.toHaveProperty("stale");
  });

  it("fails while the namespace is gone, which it does not make, and goes on when another does", async () => {
    const stage = await newStage();
    const { bench, ask, json, link, hold } = stage;
    const { presence: other, pingers } = await hold(["before"]);
    const gone = new StreamClient(await ask("/api/changes"));
    await gone.all();
    await gone.close();
    const stream = new StreamClient(await ask("/api/changes"));
    await stream.all();
    await other.drop();
    await untilHealthIs(503, stage);
    expect(await json("/healthz")).toEqual({ state: "failed" });
    const answer = await ask("/api/keys");
    expect(answer.headers.get("retry-after")).toBe("2");
    expect(await refusal(answer)).toEqual([503, "NOT_WATCHING"]);
    expect((await ask("/api/keys/before")).status).toBe(503);
    await bench.periods(20);
    expect([await bench.stored.config(), pingers[0]?.state]).toEqual([undefined, "killed"]);
    link.fail();
    await hold(["after"]);
    await bench.periods(5);
    expect((await ask("/healthz")).status).toBe(503);
    link.heal();
    await untilHealthIs(200, stage);
    expect(await listed(stage, "?state=all")).toEqual({ keys: ["after"] });
    const told = words(await stream.all());
    expect(told.slice(told.indexOf("snapshot"))).toEqual(["snapshot", "keys after:1", "past", "ready"]);
    const again = await ask("/api/changes", { headers: { "last-event-id": gone.lastId } });
    expect(words(await new StreamClient(again).all())[0]).toBe("hello anew");
  });

  it("says so while the keys are not loaded because the store is away", async () => {
    const bench = new Bench();
    const { presence, link } = await bench.open();
    link.fail();
    const { handler, close } = dashboard(presence);
    const asked = handler(new Request("http://localhost/api/keys"));
    await bench.periods(2);
    expect(await refusal(await asked)).toEqual([503, "NOT_LOADED"]);
    link.heal();
    await bench.periods(4);
    expect((await handler(new Request("http://localhost/api/keys"))).status).toBe(200);
    await close();
  });

  it("forgets the dead after the retention", async () => {
    const { bench, ask, json, hold } = await newStage();
    const { pingers } = await hold(["lives", "dies"]);
    await pingers[1]?.kill();
    await bench.periods(115);
    expect((await ask("/api/keys/dies")).status).toBe(200);
    await bench.periods(12);
    expect((await ask("/api/keys/dies")).status).toBe(404);
    expect(await json("/api/keys")).toMatchObject({ totals: { alive: 1, dead: 0 } });
  });
});

describe("PUT /api/keys/:key", () => {
  it("holds the key for the ttl, for longer where it is asked again, and then stops it", async () => {
    const { bench, order, json } = await newStage(WRITES);
    const put = (body: unknown): Promise<Response> =>
      order("/api/keys/job", { method: "PUT", body: JSON.stringify(body) });
    const first = await put({ ttl: 12_000, meta: { lang: "py" } });
    expect(first.status).toBe(201);
    expect(await first.json()).toEqual({ key: "job", session: 1, ttl: 12_000 });
    await bench.clock.advance(10_000);
    expect((await put({ ttl: 12_000 })).status).toBe(200);
    await bench.clock.advance(11_000);
    expect(await json("/api/keys/job")).toMatchObject({ alive: true, holders: [{ meta: { lang: "py" } }] });
    await put({ ttl: 12_000, meta: 2 });
    await bench.clock.advance(100);
    expect(await json("/api/keys/job")).toMatchObject({ alive: true, holders: [{ meta: 2 }] });
    await bench.clock.advance(12_000 + 2.5 * 5000);
    expect(await json("/api/keys/job")).toMatchObject({ alive: false, holders: [] });
    expect((await put({ ttl: 12_000 })).status).toBe(201);
  });

  it("holds at most 1,000 keys", async () => {
    const { order } = await newStage(WRITES);
    const put = (key: string): Promise<Response> => order(`/api/keys/${key}?ttl=60000`, { method: "PUT" });
    await Promise.all(Array.from({ length: 1000 }, (_, index) => put(`k${index}`)));
    expect(await refusal(await put("one-more"))).toEqual([429, "TOO_MANY_HELD"]);
    expect((await put("k0")).status).toBe(200);
  });

  it("answers within 5 s where the store is away, as a kill does, and holds the key when it is back", async () => {
    const { bench, order, json, link } = await newStage(WRITES);
    link.pause();
    const put = order("/api/keys/a?ttl=60000", { method: "PUT" });
    const kill = order("/api/keys/b/kill", { method: "POST" });
    await bench.clock.advance(5000);
    for (const answer of [await put, await kill]) {
      expect(await refusal(answer)).toEqual([503, "STORE_UNAVAILABLE"]);
    }
    link.resume();
    await bench.periods(4);
    expect(await json("/api/keys/a")).toMatchObject({ alive: true });
  });

  it("does not prolong what is held where it is refused", async () => {
    const { bench, order, json } = await newStage(WRITES);
    await order("/api/keys/job?ttl=2000", { method: "PUT" });
    const body = JSON.stringify({ ttl: 600_000, meta: "x".repeat(17_000) });
    expect((await order("/api/keys/job", { method: "PUT", body })).status).toBe(400);
    await bench.periods(4);
    expect(await json("/api/keys/job")).toMatchObject({ alive: false });
  });

  it("what is held outlives a close for the rest of its ttl, and after it nothing more is held", async () => {
    const { bench, order, dashboard: closing } = await newStage(WRITES);
    const { presence: other } = await bench.open();
    const put = (key: string): Promise<Response> => order(`/api/keys/${key}?ttl=60000`, { method: "PUT" });
    const states = async (): Promise<string[]> =>
      (await other.list()).keys.map(({ key, alive }) => `${key} ${alive}`);
    await put("a");
    await closing.close();
    expect(await refusal(await put("b"))).toEqual([503, "PRESENCE_CLOSED"]);
    other.watcher().watch("a", () => {}); // so that somebody pings
    await bench.periods(10);
    expect(await states()).toEqual(["a true"]);
    await bench.periods(6);
    expect(await states()).toEqual(["a false"]);
  });

  it("holds the key again after another has dropped the namespace", async () => {
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

describe("DELETE /api/keys/:key", () => {
  it("kills what is held here, and nothing else", async () => {
    const { bench, order, json, hold } = await newStage(WRITES);
    await hold(["a"]);
    await order("/api/keys/b?ttl=60000", { method: "PUT" });
    await bench.periods(1);
    expect((await order("/api/keys/a", { method: "DELETE" })).status).toBe(404);
    expect((await order("/api/keys/b", { method: "DELETE" })).status).toBe(200);
    await bench.clock.advance(100);
    expect(await json("/api/keys/a")).toMatchObject({ alive: true });
    expect(await json("/api/keys/b")).toMatchObject({ alive: false });
    expect((await order("/api/keys/b", { method: "DELETE" })).status).toBe(404);
  });
});

describe("POST /api/keys/:key/kill", () => {
  it("reports the key dead, whoever holds it", async () => {
    const { bench, order, json, hold } = await newStage(WRITES);
    const [pinger] = (await hold(["a/b"])).pingers;
    pinger?.on("killed", () => void pinger.stop());
    const answer = await order("/api/keys/a%2Fb/kill", { method: "POST" });
    expect(await answer.json()).toEqual({ key: "a/b", ended: 1 });
    await bench.periods(1);
    expect(await json("/api/keys/a%2Fb")).toMatchObject({ alive: false });
  });

  it("names no other key than the one that is in a path that is written in another way", async () => {
    const { order, json, hold } = await newStage(WRITES);
    await hold(["foo", "foo/", "foo/k", "s/foo"]);
    for (const path of ["/api/keys/foo/kill/", "/api/keys/foo/kil%6c", "/ap%69/keys/foo/kill"]) {
      const { status } = await order(path, { method: "POST" });
      expect([path, status]).toEqual([path, 404]);
    }
    expect(await json("/api/keys/foo/k")).toMatchObject({ key: "foo/k", alive: true });
  });
});

it.each(ODD_KEYS)(
  "the key %j can be held, told, killed and let go of in the query and in the body",
  async (key) => {
    const { bench, presence, order, json } = await newStage(WRITES);
    const query = `key=${encodeURIComponent(key)}`;
    const body = JSON.stringify({ key });
    const longer = JSON.stringify({ key, ttl: 60_000 });
    expect((await order(`/api/keys?${query}&ttl=60000`, { method: "PUT" })).status).toBe(201);
    expect((await order("/api/keys", { method: "PUT", body: longer })).status).toBe(200);
    await bench.periods(1);
    expect(await json(`/api/keys?${query}`)).toMatchObject({ key, alive: true });
    expect((await presence.list({ key })).keys).toMatchObject([{ key, alive: true }]);
    // Clients take segments of dots out of a path, however they are written.
    if (!/^\.+$/.test(key)) {
      expect(await json(`/api/keys/${encodeURIComponent(key)}`)).toMatchObject({ key, alive: true });
    }
    const kill = async (path: string, init: RequestInit = {}): Promise<unknown> =>
      (await order(path, { method: "POST", ...init })).json();
    expect(await kill(`/api/keys/kill?${query}`)).toMatchObject({ key });
    expect(await kill("/api/keys/kill", { body })).toMatchObject({ key });
    await bench.periods(1);
    expect((await order("/api/keys", { method: "DELETE", body })).status).toBe(200);
    expect((await order(`/api/keys?${query}`, { method: "DELETE" })).status).toBe(404);
    await bench.periods(1);
    expect(await json(`/api/keys?${query}`)).toMatchObject({ key, alive: false });
  },
);

describe("a request is refused that", () => {
  const long = "x".repeat(1025);
  const bigMeta = JSON.stringify({ ttl: 5000, meta: "x".repeat(17_000) });
  it.each([
    ["BAD_REQUEST", "asks for a state that there is not", "GET /api/keys?state=undead"],
    ["BAD_REQUEST", "asks for no key", "GET /api/keys?limit=0"],
    ["BAD_REQUEST", "asks for too many", "GET /api/keys?limit=10001"],
    ["BAD_REQUEST", "asks for a number that is none", "GET /api/keys?limit=x"],
    ["INVALID_KEY", "has a prefix that is too long", `GET /api/keys?prefix=${long}`],
    ["INVALID_KEY", "names an empty key among others", "GET /api/keys?keys="],
    ["BAD_REQUEST", "has an unknown parameter", "GET /api/keys?perfix=a"],
    ["BAD_REQUEST", "has a parameter twice", "GET /api/keys?limit=1&limit=2"],
    ["BAD_REQUEST", "asks for one key and for more", "GET /api/keys?key=a&state=all"],
    ["BAD_REQUEST", "has a query that is not UTF-8", "GET /api/keys?prefix=%FF"],
    ["BAD_REQUEST", "has a parameter where there is none", "GET /api/keys/a?state=all"],
    ["BAD_REQUEST", "has one of another route", "GET /api/changes?prefix=a"],
    ["BAD_REQUEST", "has one of another route", "GET /api/pulse?before=1"],
    ["BAD_REQUEST", "asks for the pulse after no number", "GET /api/pulse?after=abc"],
    ["BAD_REQUEST", "asks for the pulse after less than none", "GET /api/pulse?after=-1"],
    ["BAD_REQUEST", "asks for the pulse after a part of one", "GET /api/pulse?after=1.5"],
    ["BAD_REQUEST", "asks for the pulse after nothing", "GET /api/pulse?after="],
    ["BAD_REQUEST", "has a key that is not UTF-8", "GET /api/keys/%FF"],
    ["INVALID_KEY", "has a key that is too long", `GET /api/keys/${long}`],
    ["NOT_FOUND", "asks for a key that never was", "GET /api/keys/never"],
    ["TOO_LARGE", "has more than 8,192 characters", `GET /api/keys?x=${"y".repeat(8200)}`],
    ["BAD_REQUEST", "holds no key", "PUT /api/keys?ttl=60000"],
    ["BAD_REQUEST", "holds two keys", "PUT /api/keys?ttl=60000&key=a", '{"key":"a"}'],
    ["BAD_REQUEST", "holds two keys", "PUT /api/keys/a?ttl=60000", '{"key":"b"}'],
    ["INVALID_KEY", "holds a key that is no text", "PUT /api/keys?ttl=60000", '{"key":1}'],
    ["INVALID_KEY", "holds a key that is too long", `PUT /api/keys/${long}`, '{"ttl":5000}'],
    ["BAD_REQUEST", "holds with a meta in the query", "PUT /api/keys/a?ttl=60000&meta=1"],
    ["BAD_REQUEST", "holds without a ttl", "PUT /api/keys/a"],
    ["BAD_REQUEST", "holds for two times", "PUT /api/keys/a?ttl=60000", '{"ttl":5000}'],
    ["BAD_REQUEST", "holds for less than a second", "PUT /api/keys/a", '{"ttl":999}'],
    ["BAD_REQUEST", "holds for more than a day", "PUT /api/keys/a", '{"ttl":86400001}'],
    ["BAD_REQUEST", "holds for a time that is no number", "PUT /api/keys/a", '{"ttl":"30s"}'],
    ["BAD_REQUEST", "has a body that is no JSON", "PUT /api/keys/a", "{"],
    ["BAD_REQUEST", "has a body that is no object", "PUT /api/keys/a", "[1]"],
    [
      "BAD_REQUEST",
      "has a body that is not UTF-8",
      "PUT /api/keys",
      Buffer.from('{"ttl":5000,"key":"\xff"}', "latin1"),
    ],
    ["BAD_REQUEST", "has a body with an unknown field", "PUT /api/keys/a", '{"ttl":5000,"metadata":1}'],
    ["BAD_REQUEST", "has a body with a field of another route", "POST /api/keys/a/kill", '{"ttl":5000}'],
    ["INVALID_META", "holds with a meta that is too large", "PUT /api/keys/a", bigMeta],
    ["TOO_LARGE", "has more than 32 KiB", "PUT /api/keys/a", bigMeta.repeat(2)],
    ["BAD_REQUEST", "lets go of no key", "DELETE /api/keys"],
    ["BAD_REQUEST", "kills no key", "POST /api/keys/kill"],
    ["BAD_REQUEST", "kills with a parameter that is unknown", "POST /api/keys/a/kill?why=1"],
  ])("%s: %s", async (code, _what, line, body?: string | Buffer) => {
    const stage = await newStage(WRITES);
    const [path, init] = requestOf(line);
    const answer = await stage.order(path, body === undefined ? init : { ...init, body: body as BodyInit });
    expect(await refusal(answer)).toEqual([{ NOT_FOUND: 404, TOO_LARGE: 413 }[code] ?? 400, code]);
    expect(await listed(stage, "?state=all")).toEqual({ keys: [] });
  });

  it("does not say how long its body is, which is read up to 32 KiB", async () => {
    const { order } = await newStage(WRITES);
    let pulled = 0;
    const body = new ReadableStream({
      pull(controller) {
        controller.enqueue(new Uint8Array(10_000));
        pulled++;
      },
    });
    const init = { method: "PUT", body, duplex: "half" };
    expect((await order("/api/keys/a", init)).status).toBe(413);
    expect(pulled).toBeLessThan(10);
  });

  it("uses another method than those that a path takes, which are told", async () => {
    const { order } = await newStage(WRITES);
    for (const [line, allow] of [
      ["POST /healthz", "GET, HEAD"],
      ["POST /api/keys", "GET, HEAD, PUT, DELETE"],
      ...["HEAD", "POST", "PUT", "DELETE"].map((method) => [`${method} /api/changes`, "GET"] as const),
    ] as const) {
      const answer = await order(...requestOf(line));
      expect([line, answer.status, answer.headers.get("allow")]).toEqual([line, 405, allow]);
      if (!line.startsWith("HEAD")) expect(await refusal(answer)).toEqual([405, "METHOD_NOT_ALLOWED"]);
    }
  });

  it("writes where the dashboard only reads", async () => {
    const { order } = await newStage({ token: TOKEN });
    for (const line of ["PUT /api/keys/a?ttl=5000", "DELETE /api/keys/a", "POST /api/keys/a/kill"]) {
      expect(await refusal(await order(...requestOf(line)))).toEqual([403, "WRITES_OFF"]);
    }
  });
});

describe("which requests are accepted", () => {
  it("those to hosts that are this machine's or named", async () => {
    const { ask } = await newStage({ hosts: ["Ops.Example.net", "Bücher.example"] });
    const local = "localhost localhost:7077 x.localhost LOCALHOST 127.0.0.1:7077 [::1]:7077 10.1.2.3";
    const named = ["ops.example.net:443", "xn--bcher-kva.example"];
    for (const host of [...local.split(" "), ...named]) {
      expect([host, (await ask("/api/keys", { headers: { host } })).status]).toEqual([host, 200]);
    }
  });

  const names = ["example.net", "evil.example:7077", "localhost.evil.example", "127.0.0.1.evil.example", ""];
  it.each(names)("to %j, which may be another's name for this machine, /healthz alone", async (host) => {
    const { ask } = await newStage({ hosts: ["ops.example.net"] });
    for (const path of ["/api/keys", "/", "/api/changes", "/metrics", "/api/pulse"]) {
      expect(await refusal(await ask(path, { headers: { host } }))).toEqual([421, "FORBIDDEN_HOST"]);
    }
    expect((await ask("/healthz", { headers: { host } })).status).toBe(200);
  });

  it.each([
    { origin: "http://evil.example" },
    { origin: "http://localhost:7078" },
    { origin: "null" },
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" },
  ])("none of a page of another site: %j", async (site) => {
    const { ask, order } = await newStage(WRITES);
    const headers = { host: "localhost:7077", ...site };
    expect(await refusal(await ask("/api/keys", { headers }))).toEqual([403, "FORBIDDEN_ORIGIN"]);
    const write = await order("/api/keys/a?ttl=5000", { method: "PUT", headers });
    expect(await refusal(write)).toEqual([403, "FORBIDDEN_ORIGIN"]);
    expect((await order("/api/keys/a")).status).toBe(404);
  });

  it.each([
    ["localhost:7077", "http://localhost:7077"],
    ["localhost:7077", "https://localhost:7077"],
    ["localhost:443", "https://localhost"],
    ["localhost:80", "http://localhost"],
  ])("those of its own page at %s, behind a proxy with TLS too: %s", async (host, origin) => {
    const { ask } = await newStage();
    const headers = { host, origin, "sec-fetch-site": "same-origin" };
    expect((await ask("/api/keys", { headers })).status).toBe(200);
  });

  it("those with the token where there is one, and those for the page and /healthz", async () => {
    const { ask } = await newStage({ token: TOKEN, metrics: async () => "" });
    const wrong = ["", "Bearer", `Bearer ${TOKEN}x`, `Basic ${TOKEN}`, "Bearer a b"];
    for (const path of ["/api/keys", "/api/keys/a", "/api/changes", "/api/pulse", "/metrics"]) {
      for (const headers of [{}, ...wrong.map((authorization) => ({ authorization }))]) {
        const answer = await ask(path, { headers });
        expect(answer.headers.get("www-authenticate")).toBe('Bearer realm="heartbit"');
        expect(await refusal(answer)).toEqual([401, "UNAUTHORIZED"]);
      }
      const answer = await ask(path, { headers: { authorization: `bearer ${TOKEN}` } });
      expect(answer.status).not.toBe(401);
      await answer.body?.cancel();
    }
    for (const path of ["/", "/healthz"]) expect((await ask(path)).status).not.toBe(401);
  });

  it("no answer or refusal with data may be kept, framed or taken for a page", async () => {
    const { ask } = await newStage({ metrics: async () => "x 1\n" });
    const paths = ["/api/keys", "/api/keys/never", "/api/changes", "/api/pulse", "/metrics", "/healthz"];
    for (const path of paths) {
      const { headers, body } = await ask(path);
      // Nothing on the way may keep events back.
      const caching = path === "/api/changes" ? "no-store, no-transform" : "no-store";
      expect(headers.get("cache-control")).toBe(caching);
      expect(headers.get("content-security-policy")).toBe("default-src 'none'; frame-ancestors 'none'");
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      await body?.cancel();
    }
  });
});

describe("GET /healthz", () => {
  it("fails when the presence is stale for longer than is given, without saying why", async () => {
    const { bench, ask, json, link } = await newStage({ staleAfterMs: 20_000 });
    expect([(await ask("/healthz")).status, await json("/healthz")]).toEqual([200, { state: "healthy" }]);
    link.fail();
    await bench.periods(2);
    const { since, ...rest } = (await json("/healthz")) as { since: string };
    expect(rest).toEqual({ state: "stale" });
    await bench.clock.advance(Date.parse(since) + 20_000 - bench.clock.now());
    expect((await ask("/healthz")).status).toBe(200);
    await bench.clock.advance(1);
    expect((await ask("/healthz")).status).toBe(503);
    link.heal();
    await bench.periods(4);
    expect((await ask("/healthz")).status).toBe(200);
  });

  it("fails when the presence is closed", async () => {
    const { presence, ask } = await newStage();
    await presence.close();
    expect((await ask("/healthz")).status).toBe(503);
  });
});

it("GET /metrics is what the option gives, absent without it, and reveals no internals if it fails", async () => {
  const given = await newStage({ metrics: async () => "heartbit_keys 3\n" });
  const answer = await given.ask("/metrics");
  expect(await answer.text()).toBe("heartbit_keys 3\n");
  expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect((await (await newStage()).ask("/metrics")).status).toBe(404);
  for (const error of [new Error("secret"), "secret", undefined]) {
    const failing = await newStage({ metrics: () => Promise.reject(error) });
    expect(await refusal(await failing.ask("/metrics"))).toEqual([500, "INTERNAL"]);
  }
});

it("GET /metrics makes one text for all who ask at once", async () => {
  let made = 0;
  const metrics = async (): Promise<string> => `heartbit_made ${await Promise.resolve(++made)}\n`;
  const { ask } = await newStage({ metrics });
  const texts = (): Promise<string[]> =>
    Promise.all([1, 2, 3].map(async () => (await ask("/metrics")).text()));
  expect(new Set(await texts())).toEqual(new Set(["heartbit_made 1\n"]));
  expect(new Set(await texts())).toEqual(new Set(["heartbit_made 2\n"]));
});

describe("dashboard", () => {
  it.each([
    [{ basePath: "x" }, "basePath"],
    [{ basePath: "" }, "basePath"],
    [{ basePath: "/a/../b" }, "basePath"],
    [{ basePath: `/${"a".repeat(60)} b` }, "basePath"], // at once, however long it is
    [{ hosts: ["*.example.net"] }, "hosts"],
    [{ hosts: ["a:1"] }, "hosts"],
    [{ hosts: "a" }, "hosts"],
    [{ hosts: ["ops.example.net", "http://x"] }, '"http://x"'],
    [{ hosts: ["ops.example.net", ""] }, '""'],
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
