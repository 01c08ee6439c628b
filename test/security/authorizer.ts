/**
 * Stands between a client and a server, and refuses what a role does not permit, as MongoDB documents it ("Privilege
 * Actions"): for servers that check the actions of a role for a whole database only, or some of them not at all.
 */
import { connect, createServer, type Server, type Socket } from "node:net";
import { BSON, type Document } from "mongodb";

const OP_MSG = 2013;
const HEADER_BYTES = 16;
const UNAUTHORIZED = { ok: 0, code: 13, codeName: "Unauthorized" };

export interface Privilege {
  readonly resource: { readonly db: string; readonly collection: string };
  readonly actions: readonly string[];
}

/** What each command that heartbit sends needs, on the collection that it names. The rest needs no right. */
const NEEDS: Readonly<Record<string, (command: Document) => string[]>> = {
  find: () => ["find"],
  aggregate: ({ pipeline }) => [
    "find",
    ...("$changeStream" in ((pipeline as Document[])[0] ?? {}) ? ["changeStream"] : []),
  ],
  update: ({ updates }) => [
    "update",
    ...((updates as Document[]).some(({ upsert }) => upsert === true) ? ["insert"] : []),
  ],
  findAndModify: ({ upsert }) => ["find", "update", ...(upsert === true ? ["insert"] : [])],
  delete: () => ["remove"],
  createIndexes: () => ["createIndex"],
  drop: () => ["dropCollection"],
};
/** Of one's own cursors, and of oneself. */
const FREE = new Set(
  "hello isMaster ismaster ping buildInfo saslStart saslContinue endSessions getMore killCursors".split(" "),
);

export interface Authorizer {
  readonly port: number;
  /** The names of the commands that have come, in order: `update presence.pings`. */
  readonly commands: string[];
  stop(): Promise<void>;
}

/** Lets through to the server at `port` what the privileges permit. */
export async function startAuthorizer(
  port: number,
  privileges: readonly Privilege[] | "all",
): Promise<Authorizer> {
  const sockets = new Set<Socket>();
  const commands: string[] = [];
  const server = createServer((client) => {
    const upstream = connect(port, "127.0.0.1");
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
    }
    upstream.on("data", (data) => client.write(data));
    let rest = Buffer.alloc(0);
    client.on("data", (data) => {
      rest = Buffer.concat([rest, data]);
      while (rest.length >= 4 && rest.length >= rest.readInt32LE(0)) {
        const message = rest.subarray(0, rest.readInt32LE(0));
        rest = rest.subarray(message.length);
        const refusal = refusalOf(message, privileges, commands);
        if (refusal === undefined) upstream.write(message);
        else client.write(answer(message, refusal));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    commands,
    stop: () => stop(server, sockets),
  };
}

async function stop(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
}

function refusalOf(
  message: Buffer,
  privileges: readonly Privilege[] | "all",
  commands: string[],
): string | undefined {
  if (message.readInt32LE(12) !== OP_MSG) return undefined; // the first hello
  const command = BSON.deserialize(
    message.subarray(HEADER_BYTES + 5, HEADER_BYTES + 5 + message.readInt32LE(HEADER_BYTES + 5)),
  );
  const [name = "", collection] = Object.entries(command)[0] ?? [];
  commands.push(typeof collection === "string" ? `${name} ${collection}` : name);
  if (FREE.has(name) || privileges === "all") return undefined;
  const needs = NEEDS[name]?.(command) ?? [`the command ${name}`];
  const here = privileges.filter(
    ({ resource }) => resource.db === command["$db"] && resource.collection === collection,
  );
  const granted = new Set(here.flatMap(({ actions }) => actions));
  const missing = needs.find((action) => !granted.has(action));
  return missing === undefined ? undefined : `not authorized on ${String(collection)}: ${missing}`;
}

function answer(message: Buffer, errmsg: string): Buffer {
  const body = BSON.serialize({ ...UNAUTHORIZED, errmsg });
  const head = Buffer.alloc(HEADER_BYTES + 5); // with no flags and a section of kind 0
  head.writeInt32LE(head.length + body.length, 0);
  head.writeInt32LE(message.readInt32LE(4), 8);
  head.writeInt32LE(OP_MSG, 12);
  return Buffer.concat([head, body]);
}
