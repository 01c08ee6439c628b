/** A server of this machine that wants TLS and logins. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Document, MongoClient } from "mongodb";
import { findMongod, findStandIn, installStandIn } from "../servers/install.ts";
import { ServerProcess } from "../servers/process.ts";
import { until } from "../support/wait.ts";
import type { Certificate } from "./certificates.ts";

export interface SecuredOptions {
  readonly authority: Certificate;
  readonly server: Certificate;
  /** Refuses whoever shows no certificate of the authority. */
  readonly wantsCertificate: boolean;
  /** `createUser` commands for the database "admin", or "$external" for those without a password. */
  readonly users: readonly Document[];
}

/** Starts a server without both, makes the users, and starts it again with both. */
export async function startSecured(options: SecuredOptions): Promise<ServerProcess> {
  const mongod = await findMongod();
  const path = mongod ?? (await findStandIn("rs")) ?? (await installStandIn("py", () => {}));
  const [plain, secured] = mongod === undefined ? [standIn, securedStandIn] : [member, securedMember];
  const server = await ServerProcess.start({ path, args: plain });
  try {
    const uri = `mongodb://127.0.0.1:${server.port}/?directConnection=true&serverSelectionTimeoutMS=500`;
    await until(() => isReady(uri, mongod !== undefined));
    const client = new MongoClient(uri, { serverSelectionTimeoutMS: 30_000 });
    for (const user of options.users) {
      await client.db("pwd" in user ? "admin" : "$external").command(user);
    }
    await client.close();
    await writeFile(join(server.directory, "key"), "heartbit heartbit heartbit", { mode: 0o600 });
    await server.restart({
      path,
      args: (port, storage) => [...plain(port, storage), "--auth", ...secured(options, storage)],
    });
    // A server with TLS answers a client without it by ending the connection, as soon as it listens at all.
    const files = `tlsCAFile=${options.authority.cert}&tlsCertificateKeyFile=${options.server.both}`;
    await until(() => isReady(`${uri}&tls=true&${files}`, false));
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

function member(port: number, storage: string): string[] {
  const flags = ["--bind_ip", "127.0.0.1", "--quiet", "--replSet", "heartbit"];
  return ["--port", `${port}`, "--dbpath", storage, ...flags];
}

function securedMember({ authority, server, wantsCertificate }: SecuredOptions, storage: string): string[] {
  const files = ["--tlsCertificateKeyFile", server.both, "--tlsCAFile", authority.cert];
  const free = wantsCertificate ? [] : ["--tlsAllowConnectionsWithoutCertificates"];
  return ["--keyFile", join(storage, "key"), "--tlsMode", "requireTLS", ...files, ...free];
}

function standIn(port: number, storage: string): string[] {
  return ["--port", `${port}`, "--storage-path", join(storage, "data"), "--log-level", "WARNING"];
}

function securedStandIn({ authority, server, wantsCertificate }: SecuredOptions): string[] {
  const own = ["--tls-cert-file", server.cert, "--tls-key-file", server.key];
  return [
    ...own,
    "--tls-ca-file",
    authority.cert,
    ...(wantsCertificate ? ["--tls-require-client-cert"] : []),
  ];
}

async function isReady(uri: string, initiate: boolean): Promise<boolean> {
  const client = new MongoClient(uri);
  try {
    const admin = client.db("admin");
    if (initiate) await admin.command({ replSetInitiate: {} }).catch(() => undefined); // it may be one already
    return (await admin.command({ hello: 1 }))["isWritablePrimary"] === true;
  } catch {
    return false;
  } finally {
    await client.close();
  }
}
