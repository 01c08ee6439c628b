import { once } from "node:events";
import { chmod, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { serve } from "../../src/dashboard/server.ts";
import { until } from "../support/wait.ts";
import { type Env, heartbit, newDirectory, newStore, type Running, start } from "../cli/heartbit.ts";
import { TOKEN } from "./support.ts";

/** Starts `heartbit serve` on a port of its own; resolves when it serves. */
async function serving(args: readonly string[] = [], env?: Env): Promise<{ running: Running; url: string }> {
  const running = start(["serve", "--port", "0", ...args], env ?? (await newStore()));
  const [, url = ""] = await running.says("stderr", /is at (http:\S+)\n/);
  return { running, url };
}

async function tokenFile(text = `${TOKEN}\n`): Promise<string> {
  const file = join(await newDirectory(), "token");
  await writeFile(file, text, { mode: 0o600 });
  return file;
}

/** A server with the handler alone. */
const serveWith = (handler: () => Promise<Response>) =>
  serve({ handler, close: async () => {} }, { host: "localhost", port: 0, hasToken: false });

describe("a server that closes", () => {
  it("answers what is under way, and takes nothing more", async () => {
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

  it("waits for no client that takes nothing", async () => {
    const chunk = new Uint8Array(1_000_000);
    let made = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(chunk);
        made++;
      },
    });
    const { url, close } = await serveWith(async () => new Response(endless));
    const { port, hostname } = new URL(url);
    const socket = connect(Number(port), hostname.replace(/^\[(.*)\]$/, "$1"));
    socket.on("error", () => {}).pause();
    socket.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    await until(() => made > 2);
    await close();
    expect(made).toBeLessThan(100); // and the server has not gone on making what nobody took
    socket.destroy();
  });
});

describe("a server", () => {
  it("keeps no connection for a client that takes nothing of what it asked for", async () => {
    let isCutOff = false;
    const endless = (): ReadableStream<Uint8Array> =>
      new ReadableStream({
        pull: (controller) => controller.enqueue(new Uint8Array(1_000_000)),
        cancel: () => void (isCutOff = true),
      });
    const { url, close } = await serve(
      { handler: async () => new Response(endless()), close: async () => {} },
      { host: "127.0.0.1", port: 0, hasToken: false, takingMs: 300 },
    );
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    socket.on("error", () => {}).pause();
    socket.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    await until(() => isCutOff);
    socket.resume();
    await once(socket, "close");
    await close();
  });
});

describe("the connections of a server", () => {
  it("make room for a new one when they ask for nothing, those first that have been idle for longest", async () => {
    const answers: ((response: Response) => void)[] = [];
    const server = await serve(
      {
        handler: ({ url }) =>
          url.endsWith("/slow")
            ? new Promise((resolve) => answers.push(resolve))
            : Promise.resolve(new Response("ok")),
        close: async () => {},
      },
      { host: "127.0.0.1", port: 0, hasToken: false, connectionsMax: 4 },
    );
    const { port } = new URL(server.url);
    const ended: string[] = [];
    const open = async (name: string, text = ""): Promise<void> => {
      const socket = connect(Number(port), "127.0.0.1");
      socket
        .on("error", () => {})
        .once("close", () => ended.push(name))
        .resume();
      await once(socket, "connect");
      socket.write(text);
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

/** A client that sends its headers letter by letter: resolves with the answer, and how many letters it has sent. */
async function drip(url: string): Promise<{ answer: string; letters: number }> {
  const { port, hostname } = new URL(url);
  const socket = connect(Number(port), hostname);
  let letters = 0;
  let answer = "";
  const dripping = setInterval(() => {
    letters++;
    socket.write("x");
  }, 500);
  socket.on("data", (data: Buffer) => (answer += data.toString())).on("error", () => {});
  socket.write("GET / HTTP/1.1\r\nx: ");
  await once(socket, "close");
  clearInterval(dripping);
  return { answer, letters };
}

describe("heartbit serve", () => {
  // It takes 10 s: beside the other tests.
  const ends: (() => void)[] = [];
  let dripped: ReturnType<typeof drip>;
  beforeAll(async () => {
    const running = start(["serve", "--port", "0", "--store", "memory:dripped"], {}, (end) => ends.push(end));
    const [, url = ""] = await running.says("stderr", /is at (http:\S+)\n/);
    dripped = drip(url);
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
    const { running, url } = await serving();
    const page = await fetch(url);
    expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    const html = await page.text();
    const assets = [...html.matchAll(/(?:src|href)="(\.\/[^"]+)"/g)].map(([, path = ""]) => path);
    expect(assets).toHaveLength(4);
    for (const path of assets) expect((await fetch(new URL(path, url))).status).toBe(200);
    expect((await fetch(`${url}nothing`)).status).toBe(404);
    expect((await fetch(`${url}healthz`)).status).toBe(200);
    expect(await (await fetch(`${url}metrics`)).text()).toMatch(/^# HELP heartbit_/m);
    expect(await (await fetch(`${url}api/keys`)).json()).toMatchObject({ keys: [] });
    const stream = await fetch(`${url}api/changes`);
    running.child.kill("SIGINT");
    expect(await stream.text()).toMatch(/^event: hello\n/); // to its end
    expect(await running.ended).toMatchObject({ code: 130, signal: null, stdout: "" });
  });

  it("says with --json where it serves, as an object", async () => {
    const running = start(["serve", "--port", "0", "--json"], await newStore());
    const [line] = await running.says("stdout", /.*\n/);
    const { event, url } = JSON.parse(line) as { event: string; url: string };
    expect(event).toBe("serving");
    expect((await fetch(url)).status).toBe(200);
  });

  it("holds and kills keys for programs in other languages, and lets a restart of it pass unnoticed", async () => {
    const env = await newStore("300ms");
    const file = await tokenFile();
    const { running, url } = await serving(["--token-file", file, "--allow-writes"], env);
    const headers = { authorization: `Bearer ${TOKEN}` };
    expect((await fetch(`${url}api/keys/job`, { method: "PUT" })).status).toBe(401);
    const put = { method: "PUT", headers, body: JSON.stringify({ ttl: 60_000, meta: { lang: "sh" } }) };
    expect((await fetch(`${url}api/keys/job`, put)).status).toBe(201);
    expect((await heartbit(["ls"], env)).stdout).toMatch(/^job .*\{"lang":"sh"\}\n$/);
    running.child.kill("SIGTERM");
    expect((await running.ended).code).toBe(143);
    expect((await heartbit(["wait", "job", "--timeout", "2m"], env)).code).toBe(0);
    const again = await serving(["--token-file", file, "--allow-writes"], env);
    const killed = await fetch(`${again.url}api/keys/job/kill`, { method: "POST", headers });
    expect(await killed.json()).toEqual({ key: "job", ended: 1 });
    expect((await heartbit(["ls"], env)).stdout).toBe("");
  });

  it("accepts requests without a body, and bodies without a Content-Length", async () => {
    const { url } = await serving(["--token-file", await tokenFile(), "--allow-writes"]);
    // Not fetch, which tells the length: curl and others do not where there is no body.
    const ask = async (line: string, rest = "\r\n"): Promise<string> => {
      const socket = connect(Number(new URL(url).port), "127.0.0.1");
      socket.write(`${line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n`);
      socket.write(`authorization: Bearer ${TOKEN}\r\n${rest}`);
      let answer = "";
      for await (const text of socket.setEncoding("utf8")) answer += String(text);
      return answer;
    };
    const chunked = 'transfer-encoding: chunked\r\n\r\nd\r\n{"ttl":60000}\r\n0\r\n\r\n';
    expect(await ask("PUT /api/keys/job", chunked)).toMatch(/^HTTP\/1.1 201 /);
    expect(await ask("PUT /api/keys/job?ttl=60000")).toMatch(/^HTTP\/1.1 200 /);
    expect(await ask("POST /api/keys/job/kill")).toMatch(/"ended":1}$/);
  });

  it("answers for the host names that it is given, and no others", async () => {
    const { url } = await serving(["--allow-host", "ops.example.net"]);
    // Not fetch, which sets the host itself.
    const status = (host: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        request(`${url}api/keys`, { headers: { host } }, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        })
          .on("error", reject)
          .end();
      });
    expect([await status("ops.example.net"), await status("evil.example")]).toEqual([200, 421]);
  });

  it("lets no client send headers without end, or none", async () => {
    const { url } = await serving();
    const { port, hostname } = new URL(url);
    const answer = await new Promise<string>((resolve) => {
      const socket = connect(Number(port), hostname);
      let text = "";
      socket.on("data", (data: Buffer) => (text += data.toString())).on("close", () => resolve(text));
      socket.on("error", () => {});
      socket.write(`GET / HTTP/1.1\r\nhost: localhost\r\nx: ${"y".repeat(20_000)}\r\n\r\n`);
    });
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
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
    [["--stale-after", "soon"], /Write a time/],
    [["--stale-after", "48h"], /staleAfterMs is 172800000/],
    [["--allow-host", "a:1"], /hosts/],
  ])("refuses %j in a line, with 2", async (args, message) => {
    const { code, stdout, stderr } = await heartbit(["serve", ...args], await newStore());
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd()).toMatch(/^heartbit: .* See: heartbit serve --help$/);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });

  it("refuses a token that is too short, and shows none", async () => {
    const file = await tokenFile("short-secret");
    const { code, stderr } = await heartbit(["serve", "--token-file", file], await newStore());
    expect(code).toBe(2);
    expect(stderr).toMatch(/The option token is not what a token can be/);
    expect(stderr).not.toContain("short-secret");
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
    const { url } = await serving();
    const { port } = new URL(url);
    const other = await heartbit(["serve", "--port", port], await newStore());
    expect(other).toMatchObject({
      code: 1,
      stderr: `heartbit: Port ${port} is taken: choose another --port.\n`,
    });
  });

  it("has help with examples", async () => {
    const { code, stdout } = await heartbit(["serve", "--help"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/Examples:\n {2}heartbit serve/);
  });
});
