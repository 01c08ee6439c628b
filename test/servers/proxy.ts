/**
 * Stands between clients and a server, and does with commands and answers as a test says: for what only some servers do,
 * or only sometimes. To its clients it is the whole deployment.
 */
import type { Socket } from "node:net";
import type { Document } from "mongodb";
import { endTogether, listen, type Loopback } from "./loopback.ts";
import { findUpstream } from "./upstream.ts";
import { withOptions } from "./uri.ts";
import { answer, answeredBy, hasMoreToCome, idOf, type Message, onMessage, read, rewritten } from "./wire.ts";

export interface Command {
  /** "find". */
  readonly name: string;
  /** The collection that it names, if it names one; of a `getMore` too. */
  readonly collection: string;
  readonly body: Document;
  /** Of a change stream. */
  readonly isFeed: boolean;
  /** Which of the connections, from 1. */
  readonly connection: number;
}

export interface ProxyOptions {
  /** The server's connection string. */
  readonly uri: string;
  /** What it seems to be. Default: a replica set of one. */
  readonly as?: Deployment;
  /** Called before the server gets a command. What it gives is answered instead. */
  readonly onCommand?: (command: Command) => Promise<Document | undefined> | Document | undefined;
  /** Called before a client gets an answer. What it gives is sent instead. */
  readonly onReply?: (command: Command, reply: Document) => Promise<Document | void> | Document | void;
}

export type Deployment = "standalone" | "replica set" | "sharded cluster";

export interface Proxy extends Pick<Loopback, "cut" | "stop"> {
  readonly uri: string;
  as: Deployment;
}

/** What a server answers that refuses. */
export const refusal = (code: number): Document => ({ ok: 0, code, codeName: "Refused", errmsg: "refused" });

export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const { uri, onCommand, onReply } = options;
  const to = await findUpstream(uri);
  const feeds = new Set<string>();
  let connections = 0;
  const loopback = await listen((client) => {
    const upstream = to.connect().setNoDelay();
    const connection = ++connections;
    endTogether(client, upstream);
    const asked = new Map<number, Command>();
    const forward = async (message: Message): Promise<void> => {
      const command = commandIn(message, connection, feeds);
      const instead = await onCommand?.(command);
      if (instead !== undefined) {
        send(client, answer(message, instead));
        return;
      }
      asked.set(idOf(message), command);
      send(upstream, message);
    };
    const back = async (message: Message): Promise<void> => {
      const command = asked.get(answeredBy(message));
      asked.delete(answeredBy(message));
      if (command === undefined) return send(client, message);
      // What is still to come answers this answer, or the command again.
      if (hasMoreToCome(message))
        for (const id of [answeredBy(message), idOf(message)]) asked.set(id, command);
      const reply = read(message);
      if (command.isFeed && command.name === "aggregate") feeds.add(String(reply["cursor"]?.id));
      const seen = isHello(command) ? disguised(reply, loopback.address, proxy.as) : undefined;
      const changed = (await onReply?.(command, seen ?? reply)) ?? seen;
      send(client, changed === undefined ? message : rewritten(message, changed));
    };
    inTurn(client, forward);
    inTurn(upstream, back);
  });
  const { address, cut, stop } = loopback;
  const proxy: Proxy = {
    uri: withOptions(to.uriAt(address), options.as === "standalone" ? "directConnection=true" : ""),
    as: options.as ?? "replica set",
    cut,
    stop,
  };
  return proxy;
}

/** Takes messages one after the other, however long each takes. */
function inTurn(socket: Socket, take: (message: Message) => Promise<void>): void {
  let turn = Promise.resolve();
  onMessage(socket, (message) => {
    turn = turn.then(() => take(message)).catch(() => void socket.destroy());
  });
}

function send(socket: Socket, message: Message): void {
  if (socket.writable) socket.write(message);
}

function commandIn(message: Message, connection: number, feeds: ReadonlySet<string>): Command {
  const body = read(message);
  const [name = "", target] = Object.entries(body)[0] ?? [];
  const isFeed =
    name === "aggregate"
      ? body["pipeline"]?.[0]?.$changeStream !== undefined
      : name === "getMore" && feeds.has(String(target));
  const collection = String(name === "getMore" ? body["collection"] : target);
  return { name, collection, body, isFeed, connection };
}

const isHello = ({ name }: Command): boolean => /^(?:hello|ismaster)$/i.test(name);

/** What only members of replica sets say of themselves. */
const OF_MEMBERS = new Set(
  "setName setVersion hosts passives arbiters primary me secondary electionId topologyVersion lastWrite tags".split(
    " ",
  ),
);

function disguised(hello: Document, me: string, as: Deployment): Document {
  if (as === "replica set") {
    return "setName" in hello ? { ...hello, hosts: [me], passives: undefined, primary: me, me } : hello;
  }
  const rest = Object.fromEntries(Object.entries(hello).filter(([name]) => !OF_MEMBERS.has(name)));
  return as === "sharded cluster" ? { ...rest, msg: "isdbgrid" } : rest;
}
