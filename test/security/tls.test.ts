import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createServer as createTlsServer, type Server } from "node:tls";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { startServer, type TestServer } from "../servers/index.ts";
import { addressOf } from "../servers/uri.ts";
import { until } from "../support/wait.ts";
import { type Certificate, Certificates } from "./certificates.ts";
import { type SecuredServer, startSecured } from "./secured-server.ts";
import { open } from "./support.ts";

const USER = { createUser: "agent", pwd: "sesame", roles: [{ role: "readWrite", db: "app" }] };
/** The subject of the client's certificate, as MongoDB writes it. */
const X509_USER = {
  createUser: "CN=client,O=heartbit",
  mechanisms: ["MONGODB-X509"],
  roles: [{ role: "readWrite", db: "app" }],
};

let certificates: Certificates;
let authority: Certificate;
let client: Certificate;
let nobody: Certificate;
let foreignClient: Certificate;
let spoilt: string;
let secured: SecuredServer;
let mutual: SecuredServer;
let plain: TestServer;
/** What ends a handshake before anything of MongoDB is said. */
const impostors: Server[] = [];
const impostorPorts = new Map<string, number>();

beforeAll(async () => {
  certificates = await Certificates.create();
  authority = await certificates.make("authority", { isAuthority: true });
  const other = await certificates.make("other", { isAuthority: true });
  const server = await certificates.make("server", { by: authority });
  client = await certificates.make("client", { by: authority });
  nobody = await certificates.make("nobody", { by: authority });
  spoilt = await certificates.spoilt();
  foreignClient = await certificates.make("foreign", { by: other });
  const common = { authority, server, users: [USER, X509_USER] };
  [secured, mutual, plain] = await Promise.all([
    startSecured({ ...common, wantsCertificate: false }),
    startSecured({ ...common, wantsCertificate: true }),
    startServer({ auth: true }),
  ]);
  const bad = {
    expired: await certificates.make("expired", { by: authority, expired: true }),
    "self-signed": await certificates.make("self-signed"),
    "of another authority": await certificates.make("stranger", { by: other }),
    "for another host": await certificates.make("elsewhere", { by: authority, host: "DNS:db.example.net" }),
  };
  for (const [name, { cert, key }] of Object.entries(bad)) {
    const impostor = createTlsServer({ cert: await readFile(cert), key: await readFile(key) });
    impostor.on("tlsClientError", () => {});
    await new Promise<void>((resolve) => impostor.listen(0, "127.0.0.1", resolve));
    const address = impostor.address();
    impostors.push(impostor);
    impostorPorts.set(name, typeof address === "object" && address !== null ? address.port : 0);
  }
});
afterAll(async () => {
  for (const impostor of impostors) impostor.close();
  await Promise.all([secured.stop(), mutual.stop(), plain.stop()]);
  await certificates.remove();
});

const LOGIN = "agent:sesame@";
const tls = (): string => `tls=true&tlsCAFile=${authority.cert}`;
const withCertificate = ({ both }: Certificate): string => `${tls()}&tlsCertificateKeyFile=${both}`;
const x509 = (own: Certificate): string =>
  `${withCertificate(own)}&authMechanism=MONGODB-X509&authSource=%24external`;

function uri(port: number, options: string, login = ""): string {
  const source = login === "" ? "" : "authSource=admin&";
  return `mongodb://${login}127.0.0.1:${port}/app?${source}${options}`;
}

describe("over TLS, a presence opens, holds, gets reports of the feed, and closes", () => {
  it.each([
    ["with a password", () => uri(secured.port, tls(), LOGIN)],
    ["with a password and a certificate", () => uri(mutual.port, withCertificate(client), LOGIN)],
    ["with a certificate for a login", () => uri(mutual.port, x509(client))],
  ])("%s", async (how, target) => {
    const said: string[] = [];
    const options = { periodMs: 500, name: how.replaceAll(" ", "-") };
    const holder = await open(target(), options);
    const observer = await open(target(), {
      ...options,
      logger: { info: (message) => said.push(message), warn: (message) => said.push(message) },
    });
    const watcher = observer.watcher();
    const heard: string[] = [];
    watcher.watch("key", ({ cause, holders }) => heard.push(`${cause} ${JSON.stringify(holders[0]?.meta)}`));
    await watcher.sync();
    const pinger = holder.pinger("key", { meta: { port: 1 } });
    await pinger.start();
    await until(() => heard.length === 2);
    await pinger.kill();
    await until(() => heard.length === 3);
    expect(heard).toEqual(["initial undefined", 'joined {"port":1}', "killed undefined"]);
    expect(said.filter((line) => /cannot be opened|are polled for/.test(line))).toEqual([]);
  });
});

const impostor = (name: string): string => uri(impostorPorts.get(name) ?? 0, tls(), LOGIN);

/**
 * Opens in a process of its own: it ends by itself only when nothing is left open. Once more where a server on a busy
 * machine is too slow to refuse the login.
 */
async function openElsewhere(
  target: string,
  isLogin: boolean,
): Promise<{ code: string; said: string; isInTime: boolean }> {
  const script = `
    const began = performance.now();
    const { Presence } = await import(${JSON.stringify(join(inject("built"), "index.js"))});
    const { inspect } = await import("node:util");
    await import("mongodb"); // first: a busy machine needs seconds to load the driver
    // The bound grows with what loading took, which is as slow as the machine.
    const limitMs = 6000 + 2 * (performance.now() - began);
    let isInTime, error;
    do {
      isInTime = true;
      const limit = setTimeout(() => (isInTime = false), limitMs).unref();
      error = await Presence.open(process.env.TARGET).then(() => ({ code: "it opened" }), (reason) => reason);
      clearTimeout(limit);
    } while (${isLogin} && error.code === "STORE_UNAVAILABLE");
    console.log(JSON.stringify({ code: error.code, isInTime,
      said: inspect(error, { depth: Infinity, showHidden: true }) + error.message }));
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    env: { ...process.env, TARGET: target },
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data: Buffer) => (text += data.toString()));
  }
  await new Promise((resolve) => child.on("close", resolve));
  try {
    return JSON.parse(text) as { code: string; said: string; isInTime: boolean };
  } catch {
    throw new Error(text);
  }
}

describe("is refused within 6 s, reveals no password, and leaves nothing open:", () => {
  it.concurrent.each([
    ["a wrong password", "NOT_PERMITTED", () => uri(secured.port, tls(), "agent:sesameseed@")],
    ["an unknown user", "NOT_PERMITTED", () => uri(secured.port, tls(), "nobody:sesame@")],
    ["a certificate that is nobody's login", "NOT_PERMITTED", () => uri(mutual.port, x509(nobody))],
    ["no certificate where one is wanted", "STORE_UNAVAILABLE", () => uri(mutual.port, tls(), LOGIN)],
    [
      "a certificate of another authority",
      "STORE_UNAVAILABLE",
      () => uri(mutual.port, withCertificate(foreignClient), LOGIN),
    ],
    [
      "an authority that did not sign the server's",
      "STORE_UNAVAILABLE",
      () => uri(secured.port, `tls=true&tlsCAFile=${foreignClient.cert}`, LOGIN),
    ],
    ["no authority at all", "STORE_UNAVAILABLE", () => uri(secured.port, "tls=true", LOGIN)],
    ["no TLS with a server that wants it", "STORE_UNAVAILABLE", () => uri(secured.port, "", LOGIN)],
    [
      "TLS with a server that has none",
      "STORE_UNAVAILABLE",
      () => uri(addressOf(plain.uri).port, tls(), LOGIN),
    ],
    ["an expired certificate", "STORE_UNAVAILABLE", () => impostor("expired")],
    ["a self-signed certificate", "STORE_UNAVAILABLE", () => impostor("self-signed")],
    ["a server of another authority", "STORE_UNAVAILABLE", () => impostor("of another authority")],
    ["a certificate for another host", "STORE_UNAVAILABLE", () => impostor("for another host")],
    [
      "a file of authorities that is not there",
      "INVALID_OPTION",
      () => uri(secured.port, `tls=true&tlsCAFile=${certificates.missing}`, LOGIN),
    ],
    [
      "a certificate file that is not there",
      "INVALID_OPTION",
      () => uri(secured.port, `${tls()}&tlsCertificateKeyFile=${certificates.missing}`, LOGIN),
    ],
    [
      "a file of authorities that holds none",
      "STORE_UNAVAILABLE",
      () => uri(secured.port, `tls=true&tlsCAFile=${spoilt}`, LOGIN),
    ],
    [
      "a certificate file that holds none",
      "INVALID_OPTION",
      () => uri(secured.port, `${tls()}&tlsCertificateKeyFile=${spoilt}`, LOGIN),
    ],
    [
      "a folder for a certificate",
      "INVALID_OPTION",
      () => uri(secured.port, `${tls()}&tlsCertificateKeyFile=%2Ftmp`, LOGIN),
    ],
    [
      "an option of TLS that contradicts another",
      "INVALID_OPTION",
      () => uri(secured.port, `${tls()}&tlsInsecure=true&tlsAllowInvalidCertificates=false`, LOGIN),
    ],
  ] as const)("%s is %s", async (_, code, target) => {
    const opening = await openElsewhere(target(), code === "NOT_PERMITTED");
    expect(opening.code, opening.said).toBe(code);
    expect(opening.isInTime).toBe(true);
    expect(opening.said).not.toContain("sesame");
  });
});
