/** Something that speaks MongoDB's wire protocol and answers every command as it is told: for servers that nobody has. */
import type { Document } from "mongodb";
import { listen } from "./loopback.ts";
import { answer as replyTo, onMessage, read } from "./wire.ts";

export interface FakeServer {
  readonly uri: string;
  /** Ends all connections at once, as a server that is started again. */
  readonly cut: () => void;
  stop(): Promise<void>;
}

type Answer = (command: Document, address: string) => Document | Promise<Document>;

/** Answers each command with what `answer` gives for it. */
export async function startFakeServer(answer: Answer): Promise<FakeServer> {
  const { address, cut, stop } = await listen((socket) => {
    onMessage(socket, (message) => {
      const answered = Promise.resolve(answer(read(message), `127.0.0.1:${socket.localPort}`));
      void answered.then((body) => socket.writable && socket.write(replyTo(message, body)));
    });
  });
  return { uri: `mongodb://${address}/`, cut, stop };
}
