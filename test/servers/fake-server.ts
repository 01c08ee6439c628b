/** Something that speaks MongoDB's wire protocol and answers every command as it is told: for servers that nobody has. */
import { createServer, type Server, type Socket } from "node:net";
import type { Document } from "mongodb";
import { answer as replyTo, onMessage, read } from "./wire.ts";

export interface FakeServer {
  readonly uri: string;
  stop(): Promise<void>;
}

type Answer = (command: Document, address: string) => Document | Promise<Document>;

/** Answers each command with what `answer` gives for it. */
export async function startFakeServer(answer: Answer): Promise<FakeServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    onMessage(socket, (message) => {
      const answered = Promise.resolve(answer(read(message), `127.0.0.1:${socket.localPort}`));
      void answered.then((body) => socket.writable && socket.write(replyTo(message, body)));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return { uri: `mongodb://127.0.0.1:${port}/`, stop: () => stop(server, sockets) };
}

async function stop(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
}
