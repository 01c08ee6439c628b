/** The links of the faults do what they say. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { passes, until } from "../support/wait.ts";
import { type Condition, Link } from "./link.ts";

type Client = Socket & { heard: string };

let link: Link;
/** What the server has heard. It answers with an exclamation mark. */
let heard: string;

beforeEach(async () => {
  heard = "";
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("data", (data: Buffer) => {
      heard += data.toString();
      if (socket.writable) socket.write(`${data.toString()}!`);
    });
    socket.on("error", () => {});
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  link = await Link.open((server.address() as AddressInfo).port);
  onTestFinished(async () => {
    await link.close();
    server.close();
  });
});

function open(says: string): Client {
  const socket = connect({ port: link.port, host: "127.0.0.1", allowHalfOpen: true });
  const client = Object.assign(socket, { heard: "" });
  client.on("data", (data: Buffer) => (client.heard += data.toString())).on("error", () => {});
  client.write(says);
  onTestFinished(() => void client.destroy());
  return client;
}

/** A client that has heard the answer to its "a", and how to mend the link, which is made so bad then. */
async function connected(...conditions: Condition[]): Promise<{ client: Client; mend: () => void }> {
  const client = open("a");
  await until(() => client.heard === "a!");
  const mends = conditions.map((condition) => link.impose(condition));
  return { client, mend: () => mends.forEach((mend) => mend()) };
}

describe("a link", () => {
  it("that is cut ends what is connected and whatever connects, until it is mended", async () => {
    const { client, mend } = await connected({ kind: "cut" });
    await Promise.all([once(client, "end"), once(open(""), "end")]);
    mend();
    await connected();
  });

  it("held up sends the server nothing, and then everything, in order", async () => {
    const { client, mend } = await connected({ kind: "hold", directions: ["up"] });
    client.write("b");
    await passes(50);
    const other = open("c");
    await passes(100);
    expect(heard).toBe("a");
    mend();
    await until(() => client.heard === "a!b!" && other.heard === "c!");
    expect(client.closed).toBe(false);
  });

  it("held down lets the server hear, and its answers wait", async () => {
    const { client, mend } = await connected({ kind: "hold", directions: ["down"] });
    client.write("b");
    await until(() => heard === "ab");
    expect(client.heard).toBe("a!");
    mend();
    await until(() => client.heard === "a!b!");
  });

  it("delayed is late by as much, and in order; by the longest of several delays", async () => {
    const delay = { kind: "delay", directions: ["up"] } as const;
    const { client } = await connected({ ...delay, ms: 50 }, { ...delay, ms: 120 });
    const began = performance.now();
    client.write("b");
    client.write("c");
    await until(() => heard === "abc");
    expect(performance.now() - began).toBeGreaterThanOrEqual(119);
  });

  it("half-closed down ends the answers, and the server goes on hearing", async () => {
    const { client } = await connected({ kind: "half-close", direction: "down" });
    await once(client, "end");
    client.write("b");
    await until(() => heard === "ab");
    expect([client.heard, client.closed]).toEqual(["a!", false]);
  });
});
