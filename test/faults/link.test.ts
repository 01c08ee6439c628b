/** The links of the faults do what they say. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../support/wait.ts";
import { Link } from "./link.ts";

let server: Server;
let link: Link;
/** What the server has heard. */
let heard: string;
let clients: Client[];

class Client {
  readonly socket: Socket;
  heard = "";
  ended = false;
  closed = false;

  constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    this.socket.on("data", (data: Buffer) => (this.heard += data.toString()));
    this.socket.on("end", () => (this.ended = true));
    this.socket.on("close", () => (this.closed = true));
    this.socket.on("error", () => {});
    clients.push(this);
  }
}

/** Answers what it hears, with an exclamation mark. */
beforeEach(async () => {
  heard = "";
  clients = [];
  server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("data", (data: Buffer) => {
      heard += data.toString();
      if (socket.writable) socket.write(`${data.toString()}!`);
    });
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  link = await Link.open((server.address() as AddressInfo).port);
});
afterEach(async () => {
  for (const { socket } of clients) socket.destroy();
  await link.close();
  server.close();
});

async function connected(): Promise<Client> {
  const client = new Client(link.port);
  client.socket.write("a");
  await until(() => client.heard === "a!");
  return client;
}

describe("a link", () => {
  it("that is cut ends what is connected and whatever connects, until it is mended", async () => {
    const client = await connected();
    const mend = link.impose({ kind: "cut" });
    await until(() => client.ended);
    const next = new Client(link.port);
    await until(() => next.ended);
    mend();
    await connected();
  });

  it("held back sends the server nothing, and then everything, in order", async () => {
    const client = await connected();
    const mend = link.impose({ kind: "hold", directions: ["up"] });
    client.socket.write("b");
    const other = await new Promise<Client>((resolve) =>
      setTimeout(() => resolve(new Client(link.port)), 50),
    );
    other.socket.write("c");
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(heard).toBe("a");
    mend();
    await until(() => client.heard === "a!b!" && other.heard === "c!");
    expect(client.closed).toBe(false);
  });

  it("held down lets the server hear, and its answers wait", async () => {
    const client = await connected();
    const mend = link.impose({ kind: "hold", directions: ["down"] });
    client.socket.write("b");
    await until(() => heard === "ab");
    expect(client.heard).toBe("a!");
    mend();
    await until(() => client.heard === "a!b!");
  });

  it("delayed is late by as much, and in order; by the longest of several delays", async () => {
    const client = await connected();
    link.impose({ kind: "delay", directions: ["up"], ms: 50 });
    link.impose({ kind: "delay", directions: ["up"], ms: 120 });
    const began = performance.now();
    client.socket.write("b");
    client.socket.write("c");
    await until(() => heard === "abc");
    expect(performance.now() - began).toBeGreaterThanOrEqual(119);
  });

  it("half-closed down ends the answers, and the server goes on hearing", async () => {
    const client = await connected();
    link.impose({ kind: "half-close", direction: "down" });
    await until(() => client.ended);
    client.socket.write("b");
    await until(() => heard === "ab");
    expect(client.heard).toBe("a!");
    expect(client.closed).toBe(false);
  });
});
