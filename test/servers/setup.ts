/**
 * Gives the tests a MongoDB server that is a replica set: the one that `MONGODB_URI` names, or one of our own. Says
 * which, and fails, with what to do, where there is none: the tests on MongoDB are never passed over.
 */
import { MongoClient } from "mongodb";
import type { TestProject } from "vitest/node";
import { startServer } from "./index.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** Without a database. */
    mongodbUri: string;
    /** What the names of the databases of this run begin with. */
    databasePrefix: string;
  }
}

const say = (line: string): void => console.log(`MongoDB server: ${line}`);

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env["MONGODB_URI"];
  const databasePrefix = `heartbit_test_${process.pid}_${Date.now().toString(36)}_`;
  const server = given === undefined || given === "" ? await startServer({ say }) : undefined;
  const uri = server?.uri ?? given ?? "";
  const client = new MongoClient(uri, { serverSelectionTimeoutMS: 5000 });
  try {
    const { version } = await client.db("admin").command({ buildInfo: 1 });
    const driver = await driverVersion(client);
    say(`${server?.name ?? "the one of MONGODB_URI"}, as MongoDB ${version}; the driver is ${driver}`);
  } finally {
    await client.close();
  }
  project.provide("mongodbUri", uri);
  project.provide("databasePrefix", databasePrefix);
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
