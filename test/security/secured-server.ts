/** A server of this machine that wants TLS and logins. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Document, MongoClient } from "mongodb";
import { findMongod, findStandIn, installStandIn } from "../servers/install.ts";
import { ServerProcess } from "../servers/process.ts";
import { until } from "../support/wait.ts";
import type { Certificate } from "./certificates.ts";

export interface SecuredServer {
  readonly port: number;
  stop(): Promise<void>;
}

export interface SecuredOptions {
  readonly authority: Certificate;
  readonly server: Certificate;
  /** Refuses whoever shows no certificate of the authority. */
  readonly wantsCertificate: boolean;
  /** `createUser` commands for the database "admin", or "$external" for those without a password. */
  readonly users: readonly Document[];
}

/** Starts a server without both, makes the users, and starts it again with both. */
export async function startSecured(options: SecuredOptions): Promise<SecuredServer> {
  const program = await findProgram();
  const plain = { path: program.path, args: program.args };
  const server = await ServerProcess.start(plain);
  try {
    const uri = `mongodb://127.0.0.1:${server.port}/?directConnection=true&serverSelectionTimeoutMS=500`;
    await until(() => answers(uri, program.isMongod));
    const client = new MongoClient(uri, { serverSelectionTimeoutMS: 30_000 });
    for (const user of options.users) {
      await client.db("pwd" in user ? "admin" : "$external").command(user);
    }
    await client.close();
    await writeFile(join(server.directory, "key"), "heartbit heartbit heartbit", { mode: 0o600 });
    const secured = program.isMongod ? mongodFlags(options, server.directory) : standInFlags(options);
    await server.restart({
      path: program.path,
      args: (port, storage) => [...program.args(port, storage), ...secured],
    });
    // A server with TLS answers a client without it by ending the connection, as soon as it listens at all.
    const { authority, server: own } = options;
    const files = `tlsCAFile=${authority.cert}&tlsCertificateKeyFile=${own.both}`;
    await until(() => answers(`${uri}&tls=true&${files}`, false));
  } catch (error) {
    await server.stop();
    throw error;
  }
  return { port: server.port, stop: () => server.stop() };
}

interface Program {
  readonly path: string;
  readonly isMongod: boolean;
  readonly args: (port: number, storage: string) => readonly string[];
}

async function findProgram(): Promise<Program> {
  const mongod = await findMongod();
  if (mongod !== undefined) return { path: mongod, isMongod: true, args: mongodArgs };
  const path = (await findStandIn("rs")) ?? (await installStandIn("py", () => {}));
  return { path, isMongod: false, args: standInArgs };
}

function mongodArgs(port: number, storage: string): string[] {
  const flags = ["--bind_ip", "127.0.0.1", "--quiet", "--replSet", "heartbit"];
  return ["--port", `${port}`, "--dbpath", storage, ...flags];
}

function standInArgs(port: number, storage: string): string[] {
  return ["--port", `${port}`, "--storage-path", join(storage, "data"), "--log-level", "WARNING"];
}

function standInFlags({ authority, server, wantsCertificate }: SecuredOptions): string[] {
  const files = [
    "--tls-cert-file",
    server.cert,
    "--tls-key-file",
    server.key,
    "--tls-ca-file",
    authority.cert,
  ];
  return ["--auth", ...files, ...(wantsCertificate ? ["--tls-require-client-cert"] : [])];
}

function mongodFlags({ authority, server, wantsCertificate }: SecuredOptions, directory: string): string[] {
  const files = ["--tlsCertificateKeyFile", server.both, "--tlsCAFile", authority.cert];
  const free = wantsCertificate ? [] : ["--tlsAllowConnectionsWithoutCertificates"];
  return ["--auth", "--keyFile", join(directory, "key"), "--tlsMode", "requireTLS", ...files, ...free];
}

async function answers(uri: string, initiate: boolean): Promise<boolean> {
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
