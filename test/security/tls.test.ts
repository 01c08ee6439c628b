import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createServer, type Server } from "node:tls";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { startServer } from "../servers/index.ts";
import type { ServerProcess } from "../servers/process.ts";
import { withDatabase, withLogin, withOptions } from "../servers/uri.ts";
import { until } from "../support/wait.ts";
import { type Certificate, Certificates } from "./certificates.ts";
import { startSecured } from "./secured-server.ts";
import { open } from "./support.ts";

const roles = [{ role: "readWrite", db: "app" }];
const USER = { createUser: "agent", pwd: "sesame", roles };
/** The subject of the client's certificate, as MongoDB writes it. */
const X509_USER = { createUser: "CN=client,O=heartbit", mechanisms: ["MONGODB-X509"], roles };
/** A file without a certificate, and one that is not there. */
const [SPOILT, MISSING] = [fileURLToPath(import.meta.url), "/tmp/heartbit/missing.pem"];

const certificates = new Certificates();
let authority: Certificate;
let client: Certificate;
let nobody: Certificate;
let stranger: Certificate;
let secured: ServerProcess;
let mutual: ServerProcess;
let plain: Awaited<ReturnType<typeof startServer>>;
/** Servers that end a handshake before anything of MongoDB is said, by what is wrong with their certificates. */
const impostors = new Map<string, Server>();

beforeAll(async () => {
  authority = await certificates.make("authority", { isAuthority: true });
  const other = await certificates.make("other", { isAuthority: true });
  client = await certificates.make("client", { by: authority });
  nobody = await certificates.make("nobody", { by: authority });
  stranger = await certificates.make("stranger", { by: other });
  const server = await certificates.make("server", { by: authority });
  const common = { authority, server, users: [USER, X509_USER] };
  [secured, mutual, plain] = await Promise.all([
    startSecured({ ...common, wantsCertificate: false }),
    startSecured({ ...common, wantsCertificate: true }),
    startServer(),
  ]);
  const wrong = {
    expired: { by: authority, days: -1 },
    "self-signed": {},
    "of another authority": { by: other },
    "for another host": { by: authority, host: "DNS:db.example.net" },
  };
  for (const [name, options] of Object.entries(wrong)) {
    const { cert, key } = await certificates.make(name.replaceAll(" ", "-"), options);
    const fake = createServer({ cert: await readFile(cert), key: await readFile(key) });
    fake.on("tlsClientError", () => {});
    impostors.set(name, fake.listen(0, "127.0.0.1"));
    await once(fake, "listening");
  }
});
afterAll(async () => {
  for (const server of impostors.values()) server.close();
  await Promise.all([secured.stop(), mutual.stop(), plain.stop()]);
  await certificates[Symbol.asyncDispose]();
});

const withAuthority = (file: string): string => `tls=true&tlsCAFile=${file}`;
const tls = (): string => withAuthority(authority.cert);
const withCertificate = ({ both }: Pick<Certificate, "both">): string =>
  `${tls()}&tlsCertificateKeyFile=${both}`;
const x509 = (own: Certificate): string =>
  `${withCertificate(own)}&authMechanism=MONGODB-X509&authSource=%24external`;

function uri({ port }: { port: number }, options: string): string {
  return `mongodb://127.0.0.1:${port}/app?${options}`;
}

/** With a login too. */
function asAgent(server: { port: number }, options: string, user = "agent", password = "sesame"): string {
  return withLogin(uri(server, `authSource=admin&${options}`), user, password);
}

function impostor(name: string): string {
  return asAgent(impostors.get(name)?.address() as { port: number }, tls());
}

describe("over TLS, a presence opens, holds, gets reports of the feed, and closes", () => {
  it.each([
    ["with a password", () => asAgent(secured, tls())],
    ["with a password and a certificate", () => asAgent(mutual, withCertificate(client))],
    ["with a certificate for a login", () => uri(mutual, x509(client))],
  ])("%s", async (how, target) => {
    const said: string[] = [];
    const say = (message: string): unknown => said.push(message);
    const options = { periodMs: 500, name: how.replaceAll(" ", "-") };
    const holder = await open(target(), options);
    const observer = await open(target(), { ...options, logger: { info: say, warn: say } });
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

/** What opening rejects with, by what is wrong. */
const REFUSED: Readonly<Record<string, Readonly<Record<string, () => string>>>> = {
  NOT_PERMITTED: {
    "a wrong password": () => asAgent(secured, tls(), "agent", "sesameseed"),
    "an unknown user": () => asAgent(secured, tls(), "nobody"),
    "a certificate that is nobody's login": () => uri(mutual, x509(nobody)),
  },
  STORE_UNAVAILABLE: {
    "no certificate where one is wanted": () => asAgent(mutual, tls()),
    "a certificate of another authority": () => asAgent(mutual, withCertificate(stranger)),
    "an authority that did not sign the server's": () => asAgent(secured, withAuthority(stranger.cert)),
    "no authority at all": () => asAgent(secured, "tls=true"),
    "no TLS with a server that wants it": () => asAgent(secured, ""),
    "TLS with a server that has none": () => withOptions(withDatabase(plain.uri, "app"), tls()),
    "an expired certificate": () => impostor("expired"),
    "a self-signed certificate": () => impostor("self-signed"),
    "a server of another authority": () => impostor("of another authority"),
    "a certificate for another host": () => impostor("for another host"),
    "a file of authorities that holds none": () => asAgent(secured, withAuthority(SPOILT)),
  },
  INVALID_OPTION: {
    "a file of authorities that is not there": () => asAgent(secured, withAuthority(MISSING)),
    "a certificate file that is not there": () => asAgent(secured, withCertificate({ both: MISSING })),
    "a certificate file that holds none": () => asAgent(secured, withCertificate({ both: SPOILT })),
    "a folder for a certificate": () => asAgent(secured, withCertificate({ both: "%2Ftmp" })),
    "an option of TLS that contradicts another": () =>
      asAgent(secured, `${tls()}&tlsInsecure=true&tlsAllowInvalidCertificates=false`),
  },
};

/**
 * Opens the targets of its arguments, all at once, and prints what each opening rejects with. A login is tried once
 * more where a server on a busy machine is too slow to refuse it.
 */
const OPEN_ALL = `
  const began = performance.now();
  const { Presence } = await import(process.argv[1]);
  const { inspect } = await import("node:util");
  await import("mongodb"); // first: a busy machine needs seconds to load the driver
  // The bound grows with what loading took, which is as slow as the machine.
  const limitMs = 6000 + 2 * (performance.now() - began);
  const openings = process.argv.slice(2).map((arg) => arg.split(" ")).map(async ([expected, target]) => {
    let isInTime, error;
    do {
      isInTime = true;
      const limit = setTimeout(() => (isInTime = false), limitMs).unref();
      error = await Presence.open(target).then(() => ({ code: "it opened" }), (reason) => reason);
      clearTimeout(limit);
    } while (expected === "NOT_PERMITTED" && error.code === "STORE_UNAVAILABLE");
    return { code: error.code, isInTime, said: inspect(error, { depth: Infinity, showHidden: true }) + error.message };
  });
  console.log(JSON.stringify(await Promise.all(openings)));
`;

describe("is refused within 6 s, reveals no password, and leaves nothing open:", () => {
  const cases = Object.entries(REFUSED).flatMap(([code, targets]) =>
    Object.entries(targets).map(([what, target]) => ({ what, code, target })),
  );
  const openings = new Map<string, { code: string; said: string; isInTime: boolean }>();
  beforeAll(async () => {
    // A process of its own: it ends by itself only when nothing is left open.
    const targets = cases.map(({ code, target }) => `${code} ${target()}`);
    const args = ["--input-type=module", "-e", OPEN_ALL, join(inject("built"), "index.js"), ...targets];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    const all = JSON.parse(stdout) as { code: string; said: string; isInTime: boolean }[];
    for (const [index, opening] of all.entries()) openings.set(cases[index]?.what ?? "", opening);
  });

  it.each(cases)("$what is $code", ({ what, code }) => {
    const { said, ...opening } = openings.get(what) ?? expect.fail("it was tried");
    expect(opening, said).toEqual({ code, isInTime: true });
    expect(said).not.toContain("sesame");
  });
});
