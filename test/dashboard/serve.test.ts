import { chmod, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { serve, type ServeOptions, type Serving } from "../../src/dashboard/server.ts";
import { until } from "../support/wait.ts";
import { type Env, heartbit, newDirectory, newStore, type Running, start } from "../cli/heartbit.ts";
import { TOKEN } from "./support.ts";

/** Starts `heartbit serve` on a port of its own; resolves when it serves. */
async function serving(args: readonly string[] = [], env?: Env): Promise<{ running: Running; url: string }> {
  const running = start(["serve", "--port", "0", ...args], env ?? (await newStore()));
  return { running, url: await urlOf(running) };
}

async function urlOf(running: Running): Promise<string> {
  const [, url = ""] = await running.says("stderr", /is at (http:\S+)\n/);
  return url;
}

async function tokenFile(): Promise<string> {
  const file = join(await newDirectory(), "token");
  await writeFile(file, `${TOKEN}\n`, { mode: 0o600 });
  return file;
}

/** A server with the handler alone. */
function serveWith(
  handler: (request: Request) => Promise<Response>,
  options: Partial<ServeOptions> = {},
): Promise<Serving> {
  return serve(
    { handler, close: async () => {} },
    { host: "127.0.0.1", port: 0, hasToken: false, ...options },
  );
}

/** A client that writes its request by itself: fetch sets the host, the length of a body and more. */
function connectTo(url: string, text = ""): Socket {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.on("error", () => {}).write(text);
  return socket;
}

/** All that the client is answered, up to the end of its connection. */
async function answerTo(socket: Socket): Promise<string> {
  let answer = "";
  socket
    .setEncoding("utf8")
    .on("data", (text: string) => (answer += text))
    .resume();
  await new Promise((resolve) => socket.once("close", resolve));
  return answer;
}

const GET = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

/** An answer without end, and whether its client was cut off. */
function endlessAnswer() {
  const made = { chunks: 0, isCutOff: false };
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      controller.enqueue(new Uint8Array(1_000_000));
      made.chunks++;
    },
    cancel: () => void (made.isCutOff = true),
  });
  return { made, answer: async () => new Response(body) };
}

describe("a server", () => {
  it("that closes answers what is under way, and takes nothing more", async () => {
    let answer: ((response: Response) => void) | undefined;
    const { url, close } = await serveWith(() => new Promise((resolve) => (answer = resolve)));
    const asked = fetch(url);
    await until(() => answer !== undefined);
    const closed = close();
    answer?.(new Response("whole"));
    expect(await (await asked).text()).toBe("whole");
    await closed;
    await expect(fetch(url)).rejects.toThrow(TypeError);
  });

  it("that closes waits for no client that takes nothing", async () => {
    const { made, answer } = endlessAnswer();
    const { url, close } = await serveWith(answer);
    const socket = connectTo(url, GET).pause();
    await until(() => made.chunks > 2);
    await close();
    expect(made.chunks).toBeLessThan(100); // and the server has not gone on making what nobody took
    socket.destroy();
  });

  it("keeps no connection for a client that takes nothing of what it asked for", async () => {
    const { made, answer } = endlessAnswer();
    const { url, close } = await serveWith(answer, { takingMs: 300 });
    const socket = connectTo(url, GET).pause();
    await until(() => made.isCutOff);
    await answerTo(socket);
    await close();
  });

  it("closes idle connections for a new one, those first that have been idle for longest", async () => {
    const answers: ((response: Response) => void)[] = [];
    const handler = ({ url }: Request): Promise<Response> =>
      url.endsWith("/slow")
        ? new Promise((resolve) => answers.push(resolve))
        : Promise.resolve(new Response("ok"));
    const server = await serveWith(handler, { connectionsMax: 4 });
    const ended: string[] = [];
    const open = async (name: string, text = ""): Promise<void> => {
      const socket = connectTo(server.url, text);
      socket.once("close", () => ended.push(name)).resume();
      await new Promise((resolve) => socket.once("connect", resolve));
    };
    await open("asks", "GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n");
    await until(() => answers.length === 1);
    for (let index = 0; index < 20; index++) await open(`idle ${index}`);
    await open("sends slowly", "GET / HTTP/1.1\r\nhost: loc");
    expect((await fetch(server.url)).status).toBe(200);
    await until(() => ended.length >= 18);
    expect(ended.slice(0, 18)).toEqual(Array.from({ length: 18 }, (_, index) => `idle ${index}`));
    expect(ended).not.toContain("asks");
    answers[0]?.(new Response("late"));
    await server.close();
  });
});

/** Sends headers letter by letter, for as long as the server waits for them. */
async function drip(url: string): Promise<{ answer: string; letters: number }> {
  const socket = connectTo(url, "GET / HTTP/1.1\r\nx: ");
  let letters = 0;
  const dripping = setInterval(() => {
    letters++;
    socket.write("x");
  }, 500);
  const answer = await answerTo(socket);
  clearInterval(dripping);
  return { answer, letters };
}

describe("heartbit serve", () => {
  // It takes 10 s: beside the other tests.
  const ends: (() => void)[] = [];
  let dripped: ReturnType<typeof drip>;
  beforeAll(async () => {
    const running = start(["serve", "--port", "0", "--store", "memory:dripped"], {}, (end) => ends.push(end));
    dripped = drip(await urlOf(running));
  });
  afterAll(() => {
    for (const end of ends) end();
  });

  it("has room for 64 streams of one address", async () => {
    const { url } = await serving();
    const streams = await Promise.all(Array.from({ length: 65 }, () => fetch(`${url}api/changes`)));
    expect(streams.map(({ status }) => status).filter((status) => status !== 200)).toEqual([503]);
    for (const { body } of streams) await body?.cancel();
    await until(async () => {
      const again = await fetch(`${url}api/changes`);
      await again.body?.cancel();
      return again.status === 200;
    });
  });

  it("serves the page and the routes until it is interrupted, and then ends its streams", async () => {
    const env = await newStore();
    await start(["ping", "a"], env).says("stderr", /Holding/);
    const { running, url } = await serving([], env);
    const page = await fetch(url);
    expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    const html = await page.text();
    const assets = [...html.matchAll(/(?:src|href)="(\.\/[^"]+)"/g)].map(([, path = ""]) => path);
    expect(assets).toHaveLength(4);
    for (const path of assets) expect((await fetch(new URL(path, url))).status).toBe(200);
    expect((await fetch(`${url}nothing`)).status).toBe(404);
    expect((await fetch(`${url}healthz`)).status).toBe(200);
    expect(await (await fetch(`${url}api/keys`)).json()).toMatchObject({ keys: [{ key: "a" }] });
    // The metrics are those of what it watches: everything.
    expect(await (await fetch(`${url}metrics`)).text()).toContain(
      'heartbit_alive{namespace="presence",kind="keys"} 1',
    );
    const stream = await fetch(`${url}api/changes`);
    running.child.kill("SIGINT");
    expect(await stream.text()).toMatch(/^event: hello\n/); // to its end
    expect(await running.ended).toMatchObject({ code: 130, signal: null, stdout: "" });
  });

  it("holds and kills keys for programs in other languages, and lets a restart of it pass unnoticed", async () => {
    const env = await newStore("300ms");
    const args = ["--token-file", await tokenFile(), "--allow-writes"];
    const { running, url } = await serving(args, env);
    const headers = { authorization: `Bearer ${TOKEN}` };
    expect((await fetch(`${url}api/keys/job`, { method: "PUT" })).status).toBe(401);
    const put = { method: "PUT", headers, body: JSON.stringify({ ttl: 60_000, meta: { lang: "sh" } }) };
    expect((await fetch(`${url}api/keys/job`, put)).status).toBe(201);
    expect((await heartbit(["ls"], env)).stdout).toMatch(/^job .*\{"lang":"sh"\}\n$/);
    running.child.kill("SIGTERM");
    expect((await running.ended).code).toBe(143);
    expect((await heartbit(["wait", "job", "--timeout", "2m"], env)).code).toBe(0);
    const again = await serving(args, env);
    const killed = await fetch(`${again.url}api/keys/job/kill`, { method: "POST", headers });
    expect(await killed.json()).toEqual({ key: "job", ended: 1 });
    expect((await heartbit(["ls"], env)).stdout).toBe("");
  });

  it("accepts requests without a body, and bodies without a Content-Length", async () => {
    const { url } = await serving(["--token-file", await tokenFile(), "--allow-writes"]);
    const ask = (line: string, rest = "\r\n"): Promise<string> => {
      const head = `host: localhost\r\nconnection: close\r\nauthorization: Bearer ${TOKEN}\r\n`;
      return answerTo(connectTo(url, `${line} HTTP/1.1\r\n${head}${rest}`));
    };
    const chunked = 'transfer-encoding: chunked\r\n\r\nd\r\n{"ttl":60000}\r\n0\r\n\r\n';
    expect(await ask("PUT /api/keys/job", chunked)).toMatch(/^HTTP\/1.1 201 /);
    expect(await ask("PUT /api/keys/job?ttl=60000")).toMatch(/^HTTP\/1.1 200 /);
    expect(await ask("POST /api/keys/job/kill")).toMatch(/"ended":1}$/);
  });

  it("answers for the host names that it is given, no others, and never to headers without end", async () => {
    const { url } = await serving(["--allow-host", "ops.example.net"]);
    const answer = (headers: string): Promise<string> =>
      answerTo(connectTo(url, `GET /api/keys HTTP/1.1\r\nconnection: close\r\n${headers}\r\n\r\n`));
    expect(await answer("host: ops.example.net")).toMatch(/^HTTP\/1\.1 200 /);
    expect(await answer("host: evil.example")).toMatch(/^HTTP\/1\.1 421 /);
    expect(await answer(`host: localhost\r\nx: ${"y".repeat(20_000)}`)).toMatch(/^HTTP\/1\.1 431 /);
  });

  it("waits no longer than it says for a client that sends its headers letter by letter", async () => {
    const { answer, letters } = await dripped;
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(letters).toBeLessThan(40); // 10 s, and when that is noticed
  });

  it.each([
    [["--host", "0.0.0.0"], /The option host is "0\.0\.0\.0", but must be a loopback address/],
    [["--host", "::"], /loopback address/],
    [["--allow-writes"], /--allow-writes needs a --token-file/],
    [["--port", "70000"], /Write a port/],
    [["--port", "x"], /Write a port/],
    [["--token-file", "/nowhere/token"], /cannot be read \(ENOENT\)/],
    [["--stale-after", "48h"], /staleAfterMs is 172800000/],
    [["--allow-host", "a:1"], /hosts/],
  ])("refuses %j in a line, with 2", async (args, message) => {
    const { code, stdout, stderr } = await heartbit(["serve", ...args], await newStore());
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd()).toMatch(/^heartbit: .* See: heartbit serve --help$/);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });

  it("binds to other addresses with a token, and says where others can read its file", async () => {
    const file = await tokenFile();
    await chmod(file, 0o644);
    const { running, url } = await serving(["--host", "0.0.0.0", "--token-file", file]);
    expect(running.stderr).toMatch(/^Other users of this machine may read .*token: chmod 600/);
    const { port } = new URL(url);
    expect((await fetch(`http://127.0.0.1:${port}/api/keys`)).status).toBe(401);
  });

  it("fails with 1 and what to do where the port is taken", async () => {
    const { port } = new URL((await serving()).url);
    const { code, stderr } = await heartbit(["serve", "--port", port], await newStore());
    expect([code, stderr]).toEqual([1, `heartbit: Port ${port} is taken: choose another --port.\n`]);
  });
});
