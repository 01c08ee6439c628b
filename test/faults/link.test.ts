/** The links of the faults do what they say. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { passes, until } from "../support/wait.ts";
import { Link } from "./link.ts";

type Client = Socket & { heard: string };

let server: Server;
let link: Link;
/** What the server has heard. */
let heard: string;
let clients: Client[];

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
  await once(server.listen(0, "127.0.0.1"), "listening");
  link = await Link.open((server.address() as AddressInfo).port);
});
afterEach(async () => {
  for (const client of clients) client.destroy();
  await link.close();
  server.close();
});

function open(): Client {
  const socket = connect({ port: link.port, host: "127.0.0.1", allowHalfOpen: true });
  const client = Object.assign(socket, { heard: "" });
  client.on("data", (data: Buffer) => (client.heard += data.toString()));
  client.on("error", () => {});
  clients.push(client);
  return client;
}

/** Has sent "a", and heard the answer. */
async function connected(): Promise<Client> {
  const client = open();
  client.write("a");
  await until(() => client.heard === "a!");
  return client;
}

describe("a link", () => {
  it("that is cut ends what is connected and whatever connects, until it is mended", async () => {
    const client = await connected();
    const mend = link.impose({ kind: "cut" });
    await once(client, "end");
    await once(open(), "end");
    mend();
    await connected();
  });

  it("held up sends the server nothing, and then everything, in order", async () => {
    const client = await connected();
    const mend = link.impose({ kind: "hold", directions: ["up"] });
    client.write("b");
    await passes(50);
    const other = open();
    other.write("c");
    await passes(100);
    expect(heard).toBe("a");
    mend();
    await until(() => client.heard === "a!b!" && other.heard === "c!");
    expect(client.closed).toBe(false);
  });

  it("held down lets the server hear, and its answers wait", async () => {
    const client = await connected();
    const mend = link.impose({ kind: "hold", directions: ["down"] });
    client.write("b");
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
    client.write("b");
    client.write("c");
    await until(() => heard === "abc");
    expect(performance.now() - began).toBeGreaterThanOrEqual(119);
  });

  it("half-closed down ends the answers, and the server goes on hearing", async () => {
    const client = await connected();
    link.impose({ kind: "half-close", direction: "down" });
    await once(client, "end");
    client.write("b");
    await until(() => heard === "ab");
    expect(client.heard).toBe("a!");
    expect(client.closed).toBe(false);
  });
});
