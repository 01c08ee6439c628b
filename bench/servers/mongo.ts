/** MongoDB servers for the benchmarks: the one that `MONGODB_URI` names, or one of our own for each design. */
import { existsSync } from "node:fs";
import { MongoClient } from "mongodb";
import { startServer } from "../../test/servers/index.ts";
import { addressOf } from "../../test/servers/uri.ts";
import { DATABASE_PREFIX } from "./database.ts";
import { type BenchServer, used } from "./server.ts";

const LOCAL_HOSTS = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** Starts a server, or connects to the one that is given. */
export async function startMongo(): Promise<BenchServer> {
  const given = process.env["MONGODB_URI"];
  const server = given === undefined || given === "" ? await startOwn() : await useMongo(given);
  used.running.add(server.name);
  return server;
}

async function startOwn(): Promise<BenchServer> {
  const server = await startServer({ say: (line) => console.error(line) });
  return {
    name: `${server.name} (as MongoDB ${server.version})`,
    pid: server.pid,
    address: addressOf(server.uri),
    uri: server.uri,
    stop: () => server.stop(),
  };
}

async function useMongo(uri: string): Promise<BenchServer> {
  const client = new MongoClient(uri);
  const { version } = (await client.db("admin").command({ buildInfo: 1 })) as { version: string };
  const { hosts } = client.options;
  const host = hosts[0]?.host ?? "localhost";
  // Its own processor time can be had only where it runs beside us, and tells its process.
  const status = await client
    .db("admin")
    .command({ serverStatus: 1 })
    .catch(() => ({}));
  const pid = Number(Reflect.get(status, "pid"));
  await client.close();
  const isOurs = LOCAL_HOSTS.has(host) && existsSync(`/proc/${pid}/stat`);
  return {
    name: `the MongoDB server of MONGODB_URI, ${version}`,
    ...(isOurs ? { pid } : {}),
    address: { host, port: hosts[0]?.port ?? 27017 },
    uri,
    stop: () => dropDatabases(uri),
  };
}

/** The next part of the run, and whoever owns the server, finds nothing of this one. */
async function dropDatabases(uri: string): Promise<void> {
  const client = new MongoClient(uri);
  try {
    const { databases } = await client.db("admin").admin().listDatabases({ nameOnly: true });
    for (const { name } of databases)
      if (name.startsWith(DATABASE_PREFIX)) await client.db(name).dropDatabase();
  } finally {
    await client.close();
  }
}
