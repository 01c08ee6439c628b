/** MongoDB's wire protocol, as far as tests that stand between a driver and a server need it. */
import type { Socket } from "node:net";
import { BSON, type Document } from "mongodb";

const OP_REPLY = 1;
const OP_QUERY = 2004;
const OP_MSG = 2013;
const HEADER_BYTES = 16;
const FLAGS_BYTES = 4;
const CHECKSUM_BYTES = 4;
const HAS_CHECKSUM = 1;
const MORE_TO_COME = 2;

/** One message, with its header. */
export type Message = Buffer;

/** Calls `take` with each message that arrives. */
export function onMessage(socket: Socket, take: (message: Message) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  socket.on("data", (data: Buffer) => {
    rest = rest.length === 0 ? data : Buffer.concat([rest, data]);
    while (rest.length >= 4 && rest.length >= rest.readInt32LE(0)) {
      const message = rest.subarray(0, rest.readInt32LE(0));
      rest = rest.subarray(message.length);
      take(message);
    }
  });
}

export const idOf = (message: Message): number => message.readInt32LE(4);
/** The id of the message that this one answers. */
export const answeredBy = (message: Message): number => message.readInt32LE(8);
/** Whether the server sends further answers without being asked again. */
export const hasMoreToCome = (message: Message): boolean =>
  message.readInt32LE(12) === OP_MSG && (message.readInt32LE(HEADER_BYTES) & MORE_TO_COME) !== 0;

/** The command or the answer that a message carries. Its numbers keep their types, so that it can be sent on. */
export function read(message: Message): Document {
  const document = (at: number): Document =>
    BSON.deserialize(message.subarray(at, at + message.readInt32LE(at)), {
      promoteValues: false,
      promoteLongs: false,
    });
  const code = message.readInt32LE(12);
  if (code === OP_REPLY) return document(36);
  if (code === OP_QUERY) return document(message.indexOf(0, HEADER_BYTES + 4) + 1 + 8);
  if (code !== OP_MSG) throw new Error(`There is no operation ${code} since MongoDB 5.1.`);
  const all: Document = {};
  const isChecked = (message.readInt32LE(HEADER_BYTES) & HAS_CHECKSUM) !== 0;
  const end = message.length - (isChecked ? CHECKSUM_BYTES : 0);
  for (let at = HEADER_BYTES + FLAGS_BYTES; at < end;) {
    const kind = message[at++];
    const size = message.readInt32LE(at);
    if (kind === 0) Object.assign(all, document(at));
    else {
      const zero = message.indexOf(0, at + 4);
      const documents: Document[] = [];
      for (let inner = zero + 1; inner < at + size; inner += message.readInt32LE(inner))
        documents.push(document(inner));
      all[message.toString("utf8", at + 4, zero)] = documents;
    }
    at += size;
  }
  return all;
}

/** The answer to a message. */
export function answer(asked: Message, body: Document): Message {
  return pack(body, idOf(asked), asked.readInt32LE(12) === OP_QUERY, 0, 0);
}

/** The same answer with another body. */
export function rewritten(message: Message, body: Document): Message {
  const isReply = message.readInt32LE(12) === OP_REPLY;
  const flags = isReply ? 0 : message.readInt32LE(HEADER_BYTES) & MORE_TO_COME;
  return pack(body, answeredBy(message), isReply, idOf(message), flags);
}

function pack(body: Document, to: number, isReply: boolean, id: number, flags: number): Message {
  const bytes = BSON.serialize(body, { ignoreUndefined: true });
  const head = Buffer.alloc(HEADER_BYTES + (isReply ? 20 : FLAGS_BYTES + 1));
  head.writeInt32LE(head.length + bytes.length, 0);
  head.writeInt32LE(id, 4);
  head.writeInt32LE(to, 8);
  head.writeInt32LE(isReply ? OP_REPLY : OP_MSG, 12);
  if (isReply) head.writeInt32LE(1, 32);
  else head.writeInt32LE(flags, HEADER_BYTES);
  return Buffer.concat([head, bytes]);
}
