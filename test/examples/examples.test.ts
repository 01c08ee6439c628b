import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { until } from "../support/wait.ts";
import { Workshop } from "./workshop.ts";

let workshop: Workshop;
beforeAll(async () => {
  workshop = await Workshop.open();
});
afterAll(() => workshop[Symbol.asyncDispose]());

describe("worker-fleet", () => {
  it("does all jobs, although a worker crashes in the middle of one", async () => {
    const fleet = workshop.run("worker-fleet/fleet.js");
    await fleet.line(/\/2 is dead \(expired\)/);
    await fleet.line(/^all jobs are done$/);
    expect(await fleet.ended).toBe(0);
    const done = fleet.lines.flatMap((line) => / has done (\w)$/.exec(line)?.[1] ?? []);
    expect(done.toSorted()).toEqual(["a", "b", "c", "d", "e", "f"]);
  });
});

describe("supervisor", () => {
  it("starts again what has crashed, not what was stopped; started again itself it finds what runs", async () => {
    const pids: number[] = [];
    onTestFinished(() => pids.forEach(end));
    const first = workshop.run("supervisor/supervisor.js", "web", "mail");
    const pidIn = (line: string): number => {
      const pid = Number(/: (\d+)$/.exec(line)?.[1]);
      pids.push(pid);
      return pid;
    };
    const web = pidIn(await first.line(/^web is alive: \d+$/));
    const mail = pidIn(await first.line(/^mail is alive: \d+$/));

    process.kill(web, "SIGKILL");
    await first.line(/^web is dead \(expired\)$/);
    const again = pidIn(await first.line(new RegExp(`^web is alive: (?!${web}$)`)));
    expect(again).not.toBe(web);

    process.kill(mail, "SIGTERM");
    await first.line(/^mail is dead \(killed\)$/);
    first.child.kill("SIGKILL");
    await first.ended;
    expect(first.lines.filter((line) => line.startsWith("mail is started"))).toHaveLength(1);

    const second = workshop.run("supervisor/supervisor.js", "web");
    expect(await second.line(/^web is/)).toBe(`web is alive: ${again}`);
    process.kill(again, "SIGTERM");
    await second.line(/^web is dead \(killed\)$/);
    expect(second.lines.filter((line) => line.includes("is started"))).toEqual([]);
  });
});

function end(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it has ended
  }
}

interface Message {
  readonly user: string;
  readonly online?: boolean;
  readonly devices?: string[];
  readonly said?: string;
}

interface Socket {
  on(event: string, listener: (data: unknown) => void): void;
  once(event: string, listener: (...args: unknown[]) => void): void;
  send(text: string): void;
  close(): void;
  terminate(): void;
}

/** A client of the chat, and what it was told. */
async function enter(url: string, hello: object): Promise<{ socket: Socket; told: Message[] }> {
  const WebSocket = workshop.load("ws") as new (url: string) => Socket;
  const socket = new WebSocket(url.replace("http", "ws"));
  const told: Message[] = [];
  socket.on("message", (data) => told.push(JSON.parse(String(data)) as Message));
  await new Promise<void>((resolve, reject) => {
    socket.once("open", () => resolve());
    socket.once("error", reject);
  });
  onTestFinished(() => socket.terminate());
  socket.send(JSON.stringify(hello));
  return { socket, told };
}

function latest(told: readonly Message[], user: string): Message | undefined {
  return told.findLast((message) => message.user === user && message.said === undefined);
}

describe("chat", () => {
  it("a user with two devices on two servers is online until the last has gone", async () => {
    const servers = [workshop.run("chat/server.js", "0"), workshop.run("chat/server.js", "0")];
    const [one = "", two = ""] = await Promise.all(servers.map((server) => server.line(/^http/)));

    const bob = await enter(one, { hello: "bob", device: "desk" });
    const laptop = await enter(one, { hello: "ann", device: "laptop" });
    const phone = await enter(two, { hello: "ann", device: "phone" });
    await until(() => latest(bob.told, "ann")?.devices?.length === 2);

    laptop.socket.send('{"say":"hi"}');
    await until(() => bob.told.some(({ user, said }) => user === "ann" && said === "hi"));

    laptop.socket.send('{"bye":true}');
    await until(() => latest(bob.told, "ann")?.devices?.length === 1);
    expect(latest(bob.told, "ann")).toEqual({ user: "ann", online: true, devices: ["phone"] });

    phone.socket.send('{"bye":true}');
    await until(() => latest(bob.told, "ann")?.online === false);
    for (const server of servers) server.child.kill("SIGTERM");
    expect(await Promise.all(servers.map(({ ended }) => ended))).toEqual([0, 0]);
  });

  it("a client that sends nonsense loses its connection, and the server goes on", async () => {
    const server = workshop.run("chat/server.js", "0");
    const url = await server.line(/^http/);
    for (const nonsense of ["null", "{", '{"hello":{}}', '{"sing":"la"}']) {
      const { socket } = await enter(url, { hello: "eve", device: "x" });
      const closed = new Promise((resolve) => socket.once("close", resolve));
      socket.send(nonsense);
      expect(await closed).toBe(1008);
    }
    expect((await fetch(url)).status).toBe(200);
  });
});

describe("dashboard", () => {
  it.each(["express", "fastify", "hono"])(
    "is mounted in %s, beside what is the server's own",
    async (name) => {
      const server = workshop.run(`dashboard/${name}.js`, "0");
      const url = (await server.line(/^http/)).trim();
      const answer = await fetch(`${url}api/keys`);
      expect(answer.status).toBe(200);
      expect(await answer.text()).toContain(`server/${server.child.pid}`);
      expect((await fetch(`${url}healthz`)).status).toBe(200);
      expect((await fetch(`${url}api/nothing`)).status).toBe(404);
      expect(await (await fetch(new URL("/", url))).text()).toBe("yours");

      const stream = await fetch(`${url}api/changes`);
      server.child.kill("SIGTERM");
      await stream.text(); // it ends
      expect(await server.ended).toBe(0);
    },
  );
});
