import { chmod, chown, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Env, heartbit, holding, newDirectory, newStore, type Running, start } from "../cli/heartbit.ts";
import { until } from "../support/wait.ts";
import { readAll, send, TOKEN } from "./support.ts";

/** Starts `heartbit serve` on a port of its own; resolves when it serves. */
async function serving(args: readonly string[] = [], env?: Env): Promise<{ running: Running; url: string }> {
  const running = start(["serve", "--port", "0", ...args], env ?? (await newStore()));
  const [, url = ""] = await running.says("stderr", /is at (http:\S+)\n/);
  return { running, url };
}

async function tokenFile(): Promise<string> {
  const file = join(await newDirectory(), "token");
  await writeFile(file, `${TOKEN}\n`, { mode: 0o600 });
  return file;
}

describe("heartbit serve", () => {
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
    await holding("a", env);
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
    const server = await serving(["--token-file", await tokenFile(), "--allow-writes"]);
    const ask = (line: string, rest = "\r\n"): Promise<string> => {
      const head = `host: localhost\r\nconnection: close\r\nauthorization: Bearer ${TOKEN}\r\n`;
      return readAll(send(server, `${line} HTTP/1.1\r\n${head}${rest}`));
    };
    const chunked = 'transfer-encoding: chunked\r\n\r\nd\r\n{"ttl":60000}\r\n0\r\n\r\n';
    expect(await ask("PUT /api/keys/job", chunked)).toMatch(/^HTTP\/1.1 201 /);
    expect(await ask("PUT /api/keys/job?ttl=60000")).toMatch(/^HTTP\/1.1 200 /);
    expect(await ask("POST /api/keys/job/kill")).toMatch(/"ended":1}$/);
  });

  it("answers for the host names that it is given, no others, and never to headers without end", async () => {
    const server = await serving(["--allow-host", "ops.example.net"]);
    const answer = (headers: string): Promise<string> =>
      readAll(send(server, `GET /api/keys HTTP/1.1\r\nconnection: close\r\n${headers}\r\n\r\n`));
    expect(await answer("host: ops.example.net")).toMatch(/^HTTP\/1\.1 200 /);
    expect(await answer("host: evil.example")).toMatch(/^HTTP\/1\.1 421 /);
    expect(await answer(`host: localhost\r\nx: ${"y".repeat(20_000)}`)).toMatch(/^HTTP\/1\.1 431 /);
  });

  it.each([
    [["--host", "0.0.0.0"], /--host is "0\.0\.0\.0", but must be a loopback address/],
    [["--host", "::"], /loopback address/],
    [["--allow-writes"], /--allow-writes needs a --token-file/],
    [["--port", "70000"], /Write a port/],
    [["--port", "x"], /Write a port/],
    [["--token-file", "/nowhere/token"], /cannot be read \(ENOENT\)/],
    [["--stale-after", "48h"], /--stale-after is 172800000/],
    [["--allow-host", "a:1"], /--allow-host is \["a:1"\]/],
  ])("refuses %j in a line, with 2", async (args, message) => {
    const { code, stdout, stderr } = await heartbit(["serve", ...args], await newStore());
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd()).toMatch(/^heartbit: .* See: heartbit serve --help$/);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });

  it("refuses what is no token before it opens the namespace", async () => {
    const file = await tokenFile();
    await writeFile(file, "short");
    const env = await newStore();
    const { code, stderr } = await heartbit(["serve", "--token-file", file], env);
    expect([code, stderr]).toEqual([
      2,
      expect.stringMatching(/^heartbit: What --token-file has is not what/),
    ]);
    expect((await heartbit(["ls"], env)).stderr).toMatch(/: nobody has used it yet\.\n$/);
  });

  it("has no advice on a token file of another user, which it could not read otherwise", async ({ skip }) => {
    if (process.getuid?.() !== 0) skip("only root may give a file to another user");
    const file = await tokenFile();
    await chmod(file, 0o644);
    await chown(file, 12_345, 12_345);
    const { running } = await serving(["--token-file", file]);
    expect(running.stderr).not.toContain("Other users");
  });

  it("takes a token from a file that Windows PowerShell wrote", async () => {
    const file = await tokenFile();
    await writeFile(file, `\uFEFF${TOKEN}\r\n`, "utf16le");
    const { url } = await serving(["--token-file", file]);
    const headers = { authorization: `Bearer ${TOKEN}` };
    expect((await fetch(`${url}api/keys`, { headers })).status).toBe(200);
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
