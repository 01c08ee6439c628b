/** Deployments of several real servers on this machine. `mongod` and `mongos` are those of the PATH. */
import type { Document } from "mongodb";
import { MongoClient } from "mongodb";
import { ServerProcess } from "../servers/process.ts";
import { until } from "../support/wait.ts";

const LOCAL = ["--bind_ip", "127.0.0.1", "--quiet"];
/** An election begins when a primary was silent for so long. */
const ELECTION_MS = 2000;

interface Deployment {
  /** Without a database. */
  readonly uri: string;
  stop(): Promise<void>;
}

export interface ReplicaSet extends Deployment {
  readonly hosts: string;
  /** The member that is primary now. */
  primary(): Promise<ServerProcess>;
}

/** Starts a deployment of several parts; what has begun is stopped where one cannot. */
async function startTogether<T>(start: (parts: { stop(): Promise<void> }[]) => Promise<T>) {
  const parts: { stop(): Promise<void> }[] = [];
  const stop = async (): Promise<void> => void (await Promise.all(parts.map((part) => part.stop())));
  try {
    return { ...(await start(parts)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A replica set that has a primary. `role`: `--shardsvr` or `--configsvr`, where it is a part of a cluster. */
export function startReplicaSet(name: string, count: number, ...role: string[]): Promise<ReplicaSet> {
  return startTogether(async (parts) => {
    const args = (port: number, storage: string): string[] => {
      return ["--port", `${port}`, "--dbpath", storage, "--replSet", name, ...LOCAL, ...role];
    };
    const members: ServerProcess[] = [];
    while (members.length < count) {
      const member = await ServerProcess.start({ path: "mongod", args });
      members.push(member);
      parts.push(member);
    }
    await whenUp(members[0]!, {
      replSetInitiate: {
        _id: name,
        members: members.map((member, index) => ({ _id: index, host: addressOf(member) })),
        settings: { electionTimeoutMillis: ELECTION_MS },
        ...(role.includes("--configsvr") ? { configsvr: true } : {}),
      },
    });
    const primary = async (): Promise<ServerProcess> => {
      let found: ServerProcess | undefined;
      await until(async () => {
        const writable = await Promise.all(members.map(isPrimary));
        return (found = members[writable.indexOf(true)]) !== undefined;
      });
      return found!;
    };
    await primary();
    const hosts = members.map(addressOf).join(",");
    return { uri: `mongodb://${hosts}/?replicaSet=${name}`, hosts, primary };
  });
}

/** A cluster of two shards, each a replica set of one, behind one mongos. */
export function startCluster(): Promise<Deployment> {
  return startTogether(async (parts) => {
    const start = async (name: string, role: string): Promise<ReplicaSet> => {
      const set = await startReplicaSet(name, 1, role);
      parts.push(set);
      return set;
    };
    const config = await start("config", "--configsvr");
    const [one, two] = await Promise.all([start("one", "--shardsvr"), start("two", "--shardsvr")]);
    const args = (port: number): string[] => {
      return ["--port", `${port}`, "--configdb", `config/${config.hosts}`, ...LOCAL];
    };
    const router = await ServerProcess.start({ path: "mongos", args });
    parts.push(router);
    await whenUp(router, { addShard: `one/${one.hosts}` });
    await tell(router, { addShard: `two/${two.hosts}` });
    return { uri: `mongodb://${addressOf(router)}/` };
  });
}

/** Sends a command to one server. */
export async function tell(server: ServerProcess, command: Document): Promise<Document> {
  const options = { directConnection: true, serverSelectionTimeoutMS: 1000 };
  const client = new MongoClient(`mongodb://${addressOf(server)}/`, options);
  try {
    return await client.db("admin").command(command);
  } finally {
    await client.close();
  }
}

function addressOf({ port }: ServerProcess): string {
  return `127.0.0.1:${port}`;
}

async function isPrimary(server: ServerProcess): Promise<boolean> {
  const hello = await tell(server, { hello: 1 }).catch(() => undefined);
  return hello?.["isWritablePrimary"] === true;
}

/** Sends a command as soon as the server answers. Rejects when it refuses, or has ended. */
async function whenUp(server: ServerProcess, command: Document): Promise<void> {
  await until(async () => {
    const answer = await tell(server, { ping: 1 }).catch(() => undefined);
    void server.pid; // throws where it has ended, with what it said
    return answer !== undefined;
  });
  await tell(server, command);
}
