/**
 * Gives the tests a MongoDB server: the one that `MONGODB_URI` names, the deployment of real servers that
 * `HEARTBIT_TEST_TOPOLOGY` names, or a replica set of our own. Says which, and fails, with what to do, where there is
 * none: the tests on MongoDB are never passed over, but for what the given topology lacks.
 */
import { MongoClient } from "mongodb";
import type { TestProject } from "vitest/node";
import { startCluster, startReplicaSet } from "../compatibility/deployments.ts";
import { startServer } from "./index.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** Without a database. */
    mongodbUri: string;
    /** What the names of the databases of this run begin with. */
    databasePrefix: string;
    topology: Topology;
  }
}

export type Topology = "standalone" | "replica set" | "sharded cluster";

/** By `HEARTBIT_TEST_TOPOLOGY`: of the `mongod` and `mongos` of the PATH. */
const DEPLOYMENTS: Readonly<Record<string, () => Promise<{ uri: string; stop(): Promise<void> }>>> = {
  standalone: () => startServer({ standalone: true, kind: "mongod" }),
  "replica-set": () => startReplicaSet("heartbit", 3),
  "sharded-cluster": () => startCluster(),
};

const say = (line: string): void => console.log(`MongoDB server: ${line}`);

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env["MONGODB_URI"] ?? "";
  const wanted = process.env["HEARTBIT_TEST_TOPOLOGY"] ?? "";
  const databasePrefix = `heartbit_test_${process.pid}_${Date.now().toString(36)}_`;
  if (wanted !== "" && !(wanted in DEPLOYMENTS)) {
    const known = Object.keys(DEPLOYMENTS).join(", ");
    throw new Error(`HEARTBIT_TEST_TOPOLOGY is ${wanted}, but must be one of ${known}.`);
  }
  const start = DEPLOYMENTS[wanted] ?? (() => startServer({ say }));
  const server = given === "" ? await start() : undefined;
  const uri = server?.uri ?? given;
  const name =
    given === "" ? (wanted === "" ? "of our own" : `a ${wanted} of our own`) : "the one of MONGODB_URI";
  let topology: Topology;
  const client = new MongoClient(uri, { serverSelectionTimeoutMS: 5000 });
  try {
    const { version } = await client.db("admin").command({ buildInfo: 1 });
    const driver = await driverVersion(client);
    const { msg, setName } = await client.db("admin").command({ hello: 1 });
    topology = msg === "isdbgrid" ? "sharded cluster" : setName === undefined ? "standalone" : "replica set";
    const program = server !== undefined && "name" in server ? server.name : name;
    say(`${program}, a ${topology}, as MongoDB ${version}; the driver is ${driver}`);
  } finally {
    await client.close();
  }
  project.provide("mongodbUri", uri);
  project.provide("databasePrefix", databasePrefix);
  project.provide("topology", topology);
  return async () => {
    if (server === undefined) await dropDatabases(uri, databasePrefix);
    else await server.stop();
  };
}

async function dropDatabases(uri: string, prefix: string): Promise<void> {
  const client = new MongoClient(uri);
  const { databases } = await client.db().admin().listDatabases({ nameOnly: true });
  for (const { name } of databases) if (name.startsWith(prefix)) await client.db(name).dropDatabase();
  await client.close();
}

/** As the driver tells the server: so it is the one in use, whatever `HEARTBIT_DRIVER` says. */
async function driverVersion(client: MongoClient): Promise<string> {
  const metadata = (await Reflect.get(client.options, "metadata")) as { driver: { version: string } };
  return metadata.driver.version;
}
