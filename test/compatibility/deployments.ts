/** Deployments of several real servers on this machine. `mongod` and `mongos` are those of the PATH. */
import type { Document } from "mongodb";
import { MongoClient } from "mongodb";
import { type Command, ServerProcess } from "../servers/process.ts";
import { until } from "../support/wait.ts";

const LOCAL = ["--bind_ip", "127.0.0.1"];
/** An election begins when a primary was silent for so long. */
const ELECTION_MS = 2000;

export interface ReplicaSet {
  /** Without a database. */
  readonly uri: string;
  readonly members: readonly ServerProcess[];
  /** The member that is primary now. */
  primary(): Promise<ServerProcess>;
  stop(): Promise<void>;
}

/** A replica set that has a primary. `role`: `--shardsvr` or `--configsvr`, where it is a part of a cluster. */
export async function startReplicaSet(name: string, count: number, ...role: string[]): Promise<ReplicaSet> {
  const command: Command = {
    path: "mongod",
    args: (port, storage) => {
      const own = ["--port", `${port}`, "--dbpath", storage, "--replSet", name, "--quiet"];
      return [...own, ...LOCAL, ...role];
    },
  };
  const members: ServerProcess[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(members.map((member) => member.stop()));
  };
  try {
    for (let index = 0; index < count; index++) members.push(await ServerProcess.start(command));
    const config = {
      _id: name,
      members: members.map((member, index) => ({ _id: index, host: addressOf(member) })),
      settings: { electionTimeoutMillis: ELECTION_MS },
      ...(role.includes("--configsvr") ? { configsvr: true } : {}),
    };
    const [first] = members;
    if (first === undefined) throw new Error("a replica set has a member");
    await whenUp(first, { replSetInitiate: config });
    const primary = async (): Promise<ServerProcess> => {
      let found: ServerProcess | undefined;
      await until(async () => {
        const writable = await Promise.all(members.map(isPrimary));
        found = members[writable.indexOf(true)];
        return found !== undefined;
      });
      if (found === undefined) throw new Error("there is no primary");
      return found;
    };
    await primary();
    const uri = `mongodb://${members.map(addressOf).join(",")}/?replicaSet=${name}`;
    return { uri, members, primary, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A cluster of two shards, each a replica set of one, behind one mongos. */
export async function startCluster(): Promise<{ uri: string; stop(): Promise<void> }> {
  const parts: { stop(): Promise<void> }[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(parts.map((part) => part.stop()));
  };
  try {
    const config = await startReplicaSet("config", 1, "--configsvr");
    parts.push(config);
    const shards = await Promise.all(
      ["one", "two"].map((name) => startReplicaSet(name, 1, "--shardsvr").then(kept)),
    );
    const configdb = `config/${config.members.map(addressOf).join(",")}`;
    const router = await ServerProcess.start({
      path: "mongos",
      args: (port) => ["--port", `${port}`, "--configdb", configdb, "--quiet", ...LOCAL],
    });
    parts.push(router);
    for (const [index, { members }] of shards.entries()) {
      await whenUp(router, {
        addShard: `${["one", "two"][index]}/${members.map(addressOf).join(",")}`,
      });
    }
    return { uri: `mongodb://${addressOf(router)}/`, stop };
  } catch (error) {
    await stop();
    throw error;
  }

  function kept(set: ReplicaSet): ReplicaSet {
    parts.push(set);
    return set;
  }
}

/** Sends a command to one server. */
export async function tell(server: ServerProcess, command: Document): Promise<Document> {
  const client = new MongoClient(`mongodb://${addressOf(server)}/`, {
    directConnection: true,
    serverSelectionTimeoutMS: 1000,
  });
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
  return tell(server, { hello: 1 }).then(
    ({ isWritablePrimary }) => isWritablePrimary === true,
    () => false,
  );
}

/** Sends a command as soon as the server answers. Rejects when it refuses. */
async function whenUp(server: ServerProcess, command: Document): Promise<void> {
  await until(() =>
    tell(server, { ping: 1 }).then(
      () => true,
      () => {
        void server.pid; // throws where it has ended, with what it said
        return false;
      },
    ),
  );
  await tell(server, command);
}
