/** What one client can cost the others: requests and answers are bounded, and places are given back. */
import { connect, type Socket } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { toNodeListener } from "../../src/dashboard/index.ts";
import { serve } from "../../src/dashboard/server.ts";
import { until } from "../support/wait.ts";
import { listen, newStage } from "./support.ts";

/** Sends the text, and reads nothing before it is told to. */
function send(port: number, text: string): Socket {
  const socket = connect(port, "127.0.0.1").pause();
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => {}).write(text);
  return socket;
}

/** All that is answered up to the end of the connection. */
async function readAll(socket: Socket): Promise<string> {
  let text = "";
  socket.setEncoding("utf8").on("data", (some: string) => (text += some));
  socket.resume();
  await new Promise((resolve) => socket.once("close", resolve));
  return text;
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`;

it("a connection with more than four requests under way is closed", async () => {
  let asked = 0;
  const handler = (): Promise<Response> => {
    asked++;
    return new Promise(() => {});
  };
  const server = await serve(
    { handler, close: async () => {} },
    { host: "127.0.0.1", port: 0, hasToken: false },
  );
  onTestFinished(server.close);
  const port = Number(new URL(server.url).port);
  const four = send(port, get("/").repeat(4));
  await until(() => asked === 4);
  expect(await readAll(send(port, get("/").repeat(300)))).toBe("");
  expect([asked, four.destroyed]).toEqual([8, false]);
  four.destroy();
});

it("a connection may ask for one thing after another without end", async () => {
  const { dashboard } = await newStage();
  const server = await serve(dashboard, { host: "127.0.0.1", port: 0, hasToken: false });
  onTestFinished(server.close);
  const socket = send(Number(new URL(server.url).port), "");
  let text = "";
  socket.setEncoding("utf8").on("data", (some: string) => (text += some));
  socket.resume();
  for (let times = 1; times <= 20; times++) {
    socket.write(get("/healthz"));
    await until(() => text.split("HTTP/1.1 200 ").length === times + 1);
  }
});

it("a listing is made as its client reads it, with the state as of then", async () => {
  const stage = await newStage();
  const keys = Array.from({ length: 100 }, (_, index) => `key-${String(index).padStart(2, "0")}`);
  const { pingers } = await stage.hold(keys, "x".repeat(1000));
  const { body } = await stage.ask("/api/keys?state=all");
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  const utf8 = new TextDecoder();
  let text = utf8.decode((await reader.read()).value);
  expect(text.length).toBeLessThan(64 * 1024);
  await pingers.at(-1)?.kill();
  await stage.bench.periods(1);
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    text += utf8.decode(read.value);
  }
  const listed = (JSON.parse(text) as { keys: { key: string; alive: boolean }[] }).keys;
  expect(listed.map(({ key }) => key)).toEqual(keys);
  expect(listed.filter(({ alive }) => !alive).map(({ key }) => key)).toEqual(["key-99"]);
});

it("a listing whose namespace is dropped in the middle is nothing that could be taken for a whole one", async () => {
  const stage = await newStage();
  const keys = Array.from({ length: 100 }, (_, index) => `k${index}`);
  const { presence: other } = await stage.hold(keys, "x".repeat(1000));
  const response = await stage.ask("/api/keys");
  await other.drop();
  await stage.bench.periods(10);
  const text = await response.text();
  expect(() => JSON.parse(text) as unknown).toThrow(SyntaxError);
});

it("streams that wait behind another one of their connection end with it", async () => {
  const { dashboard, ask } = await newStage();
  const { port } = await listen(toNodeListener(dashboard.handler));
  for (let round = 0; round < 30; round++) {
    const socket = send(port, get("/api/changes").repeat(10));
    await new Promise((resolve) => socket.once("readable", resolve));
    socket.destroy();
  }
  await until(async () => {
    const streams = await Promise.all(Array.from({ length: 256 }, () => ask("/api/changes")));
    for (const { body } of streams) await body?.cancel();
    return streams.every(({ status }) => status === 200);
  });
});

it("requests that were aborted before they arrived take no place", async () => {
  const { ask } = await newStage();
  for (let index = 0; index < 300; index++) await ask("/api/changes", { signal: AbortSignal.abort() });
  expect((await ask("/api/changes")).status).toBe(200);
});

it("nothing on the way may keep events back", async () => {
  const { ask } = await newStage();
  const caching = async (path: string): Promise<string | null> =>
    (await ask(path)).headers.get("cache-control");
  expect(await caching("/api/changes")).toBe("no-store, no-transform");
  expect(await caching("/api/keys")).toBe("no-store");
});

it("a request without a host name is answered at /healthz, and nowhere else", async () => {
  const { dashboard } = await newStage();
  const { port } = await listen(toNodeListener(dashboard.handler));
  const status = async (path: string): Promise<string> =>
    (await readAll(send(port, `GET ${path} HTTP/1.0\r\n\r\n`))).slice(9, 12);
  expect([await status("/healthz"), await status("/api/keys")]).toEqual(["200", "421"]);
});
