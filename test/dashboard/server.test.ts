/** The handler in servers of Node, and the server of `heartbit serve`: what one client can cost the others is bounded. */
import { once } from "node:events";
import type { Socket } from "node:net";
import { json } from "node:stream/consumers";
import { describe, expect, it, onTestFinished } from "vitest";
import { toNodeListener } from "../../src/dashboard/index.ts";
import { serve, type ServeOptions, type Serving } from "../../src/dashboard/server.ts";
import { until } from "../support/wait.ts";
import { get, listen, newStage, readAll, send, TOKEN } from "./support.ts";

type Handler = (request: Request) => Promise<Response>;

/** A server with the handler alone. */
async function serveWith(handler: Handler, options: Partial<ServeOptions> = {}): Promise<Serving> {
  const own = { handler, close: async () => {} };
  const server = await serve(own, { host: "127.0.0.1", port: 0, hasToken: false, ...options });
  onTestFinished(server.close);
  return server;
}

/** Answers when it is told to. */
function patient() {
  const answers: ((response: Response) => void)[] = [];
  return { answers, handler: () => new Promise<Response>((resolve) => answers.push(resolve)) };
}

/** An answer without end, and whether its client was cut off. */
function endless() {
  const made = { chunks: 0, isCutOff: false };
  const handler = async (): Promise<Response> =>
    new Response(
      new ReadableStream({
        pull: (controller) => {
          controller.enqueue(new Uint8Array(1_000_000));
          made.chunks++;
        },
        cancel: () => void (made.isCutOff = true),
      }),
    );
  return { made, handler };
}

describe("the handler in a server of Node", () => {
  it("answers below its base path alone, as Node's own server gives the path", async () => {
    const { dashboard } = await newStage({ basePath: "/presence/" });
    const { url } = await listen(toNodeListener(dashboard.handler));
    expect((await fetch(`${url}presence/api/keys`)).status).toBe(200);
    expect((await fetch(`${url}elsewhere`)).status).toBe(404);
  });

  it("is wanted, and not the whole dashboard: that would answer nothing", async () => {
    const { dashboard } = await newStage();
    expect(() => toNodeListener(dashboard as never)).toThrow(/must be the handler of a dashboard/);
  });

  it("holds a key whose body was parsed before", async () => {
    const { dashboard, bench } = await newStage({ token: TOKEN, allowWrites: true });
    const listener = toNodeListener(dashboard.handler);
    const { url } = await listen(async (incoming, outgoing) =>
      listener(Object.assign(incoming, { body: await json(incoming) }), outgoing),
    );
    const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
    const body = JSON.stringify({ ttl: 60_000, meta: { parsed: true } });
    expect((await fetch(`${url}api/keys/k`, { method: "PUT", headers, body })).status).toBe(201);
    const { presence } = await bench.open();
    expect((await presence.list()).keys).toMatchObject([{ key: "k", holders: [{ meta: { parsed: true } }] }]);
  });

  it("answers a request without a host name at /healthz, and nowhere else", async () => {
    const { dashboard } = await newStage();
    const front = await listen(toNodeListener(dashboard.handler));
    const status = async (path: string): Promise<string> =>
      (await readAll(send(front, `GET ${path} HTTP/1.0\r\n\r\n`))).slice(9, 12);
    expect([await status("/healthz"), await status("/api/keys")]).toEqual(["200", "421"]);
  });

  it("ends streams that wait behind another one of their connection with it", async () => {
    const { dashboard, ask } = await newStage();
    const front = await listen(toNodeListener(dashboard.handler));
    for (let round = 0; round < 30; round++) {
      const socket = send(front, get("/api/changes").repeat(10));
      await once(socket, "readable");
      socket.destroy();
    }
    await until(async () => {
      const streams = await Promise.all(Array.from({ length: 256 }, () => ask("/api/changes")));
      for (const { body } of streams) await body?.cancel();
      return streams.every(({ status }) => status === 200);
    });
  });

  it("gives no place to requests that were aborted before they arrived", async () => {
    const { ask } = await newStage();
    for (let index = 0; index < 300; index++) await ask("/api/changes", { signal: AbortSignal.abort() });
    expect((await ask("/api/changes")).status).toBe(200);
  });
});

describe("a listing", () => {
  const keys = Array.from({ length: 100 }, (_, index) => `key-${String(index).padStart(2, "0")}`);

  it("is made as its client reads it, with the state as of then", async () => {
    const stage = await newStage();
    const { pingers } = await stage.hold(keys, "x".repeat(1000));
    const reader = (await stage.ask("/api/keys?state=all")).body!.getReader();
    const utf8 = new TextDecoder();
    let text = utf8.decode((await reader.read()).value);
    expect(text.length).toBeLessThan(64 * 1024);
    await pingers.at(-1)?.kill();
    await stage.bench.periods(1);
    for (let read = await reader.read(); !read.done; read = await reader.read())
      text += utf8.decode(read.value);
    const listed = (JSON.parse(text) as { keys: { key: string; alive: boolean }[] }).keys;
    expect(listed.map(({ key }) => key)).toEqual(keys);
    expect(listed.filter(({ alive }) => !alive).map(({ key }) => key)).toEqual(["key-99"]);
  });

  it("whose namespace is dropped in the middle is nothing that could be taken for a whole one", async () => {
    const stage = await newStage();
    const { presence: other } = await stage.hold(keys, "x".repeat(1000));
    const response = await stage.ask("/api/keys");
    await other.drop();
    await stage.bench.periods(10);
    await expect(response.json()).rejects.toThrow(SyntaxError);
  });
});

describe("a server", () => {
  it("that closes answers what is under way, and takes nothing more", async () => {
    const { answers, handler } = patient();
    const { url, close } = await serveWith(handler);
    const asked = fetch(url);
    await until(() => answers.length === 1);
    const closed = close();
    answers[0]?.(new Response("whole"));
    expect(await (await asked).text()).toBe("whole");
    await closed;
    await expect(fetch(url)).rejects.toThrow(TypeError);
  });

  it("that closes waits for no client that takes nothing", async () => {
    const { made, handler } = endless();
    const server = await serveWith(handler);
    send(server, get("/"));
    await until(() => made.chunks > 2);
    await server.close();
    expect(made.chunks).toBeLessThan(100); // and the server has not gone on making what nobody took
  });

  it("keeps no connection for a client that takes nothing of what it asked for", async () => {
    const { made, handler } = endless();
    const socket = send(await serveWith(handler, { takingMs: 300 }), get("/"));
    await until(() => made.isCutOff);
    await readAll(socket);
  });

  it("waits about 10 s for a client that sends its headers letter by letter", async () => {
    const socket = send(await serveWith(patient().handler), "GET / HTTP/1.1\r\nx: ");
    let letters = 0;
    const dripping = setInterval(() => void (socket.write("x") && letters++), 500);
    expect(await readAll(socket)).toMatch(/^HTTP\/1\.1 408 /);
    clearInterval(dripping);
    expect(letters).toBeLessThan(40); // and when that is noticed
  });

  it("closes idle connections for a new one, those first that have been idle for longest", async () => {
    const { answers, handler } = patient();
    const server = await serveWith(
      (request) => (request.url.endsWith("/slow") ? handler() : Promise.resolve(new Response("ok"))),
      { connectionsMax: 4 },
    );
    const ended: string[] = [];
    const open = async (name: string, text = ""): Promise<void> => {
      const socket: Socket = send(server, text).resume();
      socket.once("close", () => ended.push(name));
      await once(socket, "connect");
    };
    await open("asks", get("/slow"));
    await until(() => answers.length === 1);
    for (let index = 0; index < 20; index++) await open(`idle ${index}`);
    await open("sends slowly", "GET / HTTP/1.1\r\nhost: loc");
    expect((await fetch(server.url)).status).toBe(200);
    await until(() => ended.length >= 18);
    expect(ended.slice(0, 18)).toEqual(Array.from({ length: 18 }, (_, index) => `idle ${index}`));
    expect(ended).not.toContain("asks");
    answers[0]?.(new Response("late"));
  });

  it("closes a connection with more than four requests under way", async () => {
    const { answers, handler } = patient();
    const server = await serveWith(handler);
    const four = send(server, get("/").repeat(4));
    await until(() => answers.length === 4);
    expect(await readAll(send(server, get("/").repeat(300)))).toBe("");
    expect([answers.length, four.destroyed]).toEqual([8, false]);
    four.destroy();
  });

  it("answers one request after another of a connection without end", async () => {
    const server = await serveWith(async () => new Response("ok"));
    const socket = send(server, "");
    let text = "";
    socket.on("data", (some: Buffer) => (text += some.toString())).resume();
    for (let times = 1; times <= 20; times++) {
      socket.write(get("/"));
      await until(() => text.split("HTTP/1.1 200 ").length === times + 1);
    }
  });
});
