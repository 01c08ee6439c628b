/**
 * Runs the examples as a reader would: as processes, with the packages of their own lock file. Those are installed once,
 * into a cache; heartbit is the package as it was built for this run.
 */
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once, type EventEmitter } from "node:events";
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from "vitest";
import { Running } from "../cli/heartbit.ts";
import { checkDashboard } from "../package/first-hour/consumer.ts";
import { makeOnce } from "../package/make-once.ts";
import { until } from "../support/wait.ts";

const cache = join(process.cwd(), "node_modules/.cache");

/** The packages of `examples/package-lock.json`, but for heartbit itself. Gives their folder. */
async function installPackages(): Promise<string> {
  const hash = createHash("sha256").update(await readFile("examples/package-lock.json"));
  const name = `heartbit-examples-${hash.digest("hex").slice(0, 16)}`;
  const installed = await makeOnce(join(cache, name), async (draft) => {
    // The lock file links to the package.json above.
    for (const file of ["package.json", "examples/package.json", "examples/package-lock.json"])
      await cp(file, join(draft, file));
    const options = { cwd: join(draft, "examples"), shell: process.platform === "win32" };
    await promisify(execFile)("npm", ["ci", "--no-audit", "--no-fund", "--ignore-scripts"], options);
    await rm(join(draft, "examples/node_modules/heartbit"), { force: true });
  });
  return join(installed, "examples/node_modules");
}

/** With a copy of the examples, and a store. */
let folder: string;
beforeAll(async () => {
  const installed = await installPackages();
  folder = await mkdtemp(join(cache, "heartbit-workshop-"));
  const heartbit = join(folder, "node_modules/heartbit");
  await mkdir(heartbit, { recursive: true });
  await cp("package.json", join(heartbit, "package.json"));
  await symlink(inject("built"), join(heartbit, "dist"), "junction");
  await cp("examples", join(folder, "examples"), { recursive: true, filter: isSource });
  await symlink(installed, join(folder, "examples/node_modules"), "junction");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const isSource = (path: string): boolean => !path.endsWith("node_modules");

/** Runs a program of the examples, to the end of the test at most. */
function run(program: string, ...args: string[]): Running {
  const running = new Running(
    spawn(process.execPath, [program, ...args], {
      cwd: join(folder, "examples"),
      env: { ...process.env, HEARTBIT_STORE: `sqlite:${join(folder, "store")}` },
      stdio: ["ignore", "pipe", "pipe"],
    }),
  );
  onTestFinished(async () => {
    running.child.kill("SIGKILL");
    await running.ended;
  });
  return running;
}

/** What it prints first that matches. */
async function line(running: Running, pattern: RegExp): Promise<string> {
  return (await running.says("stdout", pattern))[0].trim();
}

it("worker-fleet does all jobs, although a worker crashes in the middle of one", async () => {
  const fleet = run("worker-fleet/fleet.js");
  await line(fleet, /\/2 is dead \(expired\)\n/);
  const { code, stdout } = await fleet.ended;
  expect(code).toBe(0);
  const done = Array.from(stdout.matchAll(/ has done (\w)$/gm), ([, job = ""]) => job);
  expect(done.toSorted()).toEqual(["a", "b", "c", "d", "e", "f"]);
  expect(stdout).toMatch(/^all jobs are done$/m);
});

it("supervisor starts again what has crashed, not what was stopped; started again itself it finds what runs", async () => {
  const first = run("supervisor/supervisor.js", "web", "mail");
  const pidIn = async (running: Running, pattern: RegExp): Promise<number> => {
    const pid = Number((await line(running, pattern)).split(": ")[1]);
    onTestFinished(() => kill(pid, "SIGKILL"));
    return pid;
  };
  const web = await pidIn(first, /^web is alive: \d+\n/m);
  const mail = await pidIn(first, /^mail is alive: \d+\n/m);

  kill(web, "SIGKILL");
  await line(first, /^web is dead \(expired\)\n/m);
  const again = await pidIn(first, new RegExp(`^web is alive: (?!${web}\n)\\d+\n`, "m"));

  kill(mail, "SIGTERM");
  await line(first, /^mail is dead \(killed\)\n/m);
  first.child.kill("SIGKILL");
  expect((await first.ended).stdout.match(/^mail is started/gm)).toHaveLength(1);

  const second = run("supervisor/supervisor.js", "web");
  expect(await line(second, /^web is.*\n/m)).toBe(`web is alive: ${again}`);
  kill(again, "SIGTERM");
  await line(second, /^web is dead \(killed\)\n/m);
  expect(second.stdout).not.toContain("is started");
});

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
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

interface Socket extends EventEmitter {
  send(text: string): void;
  terminate(): void;
}

/** A client of the chat, and what it was told. */
async function enter(url: string, hello: object): Promise<{ socket: Socket; told: Message[] }> {
  const load = createRequire(join(folder, "examples/package.json"));
  const WebSocket = load("ws") as new (url: string) => Socket;
  const socket = new WebSocket(url.replace("http", "ws"));
  const told: Message[] = [];
  socket.on("message", (data) => told.push(JSON.parse(String(data)) as Message));
  await once(socket, "open");
  onTestFinished(() => socket.terminate());
  socket.send(JSON.stringify(hello));
  return { socket, told };
}

function latest(told: readonly Message[], user: string): Message | undefined {
  return told.findLast((message) => message.user === user && message.said === undefined);
}

describe("chat", () => {
  it("a user with two devices on two servers is online until the last has gone", async () => {
    const servers = [run("chat/server.js", "0"), run("chat/server.js", "0")];
    const [one = "", two = ""] = await Promise.all(servers.map((server) => line(server, /^http.*\n/m)));

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
    expect(await Promise.all(servers.map(async ({ ended }) => (await ended).code))).toEqual([0, 0]);
  });

  it("a client that sends nonsense loses its connection, and the server goes on", async () => {
    const url = await line(run("chat/server.js", "0"), /^http.*\n/m);
    for (const nonsense of ["null", "{", '{"hello":{}}', '{"sing":"la"}']) {
      const { socket } = await enter(url, { hello: "eve", device: "x" });
      const closed = once(socket, "close");
      socket.send(nonsense);
      expect((await closed)[0]).toBe(1008);
    }
    expect((await fetch(url)).status).toBe(200);
  });
});

it.each(["express", "fastify", "hono"])(
  "the dashboard is mounted in %s, beside what is the server's own",
  async (name) => {
    const server = run(`dashboard/${name}.js`, "0");
    const url = await line(server, /^http.*\n/m);
    await checkDashboard(url.slice(0, -1), `server/${server.pid}`);
    expect((await fetch(`${url}healthz`)).status).toBe(200);
    expect((await fetch(`${url}api/nothing`)).status).toBe(404);
    expect(await (await fetch(new URL("/", url))).text()).toBe("yours");

    const stream = await fetch(`${url}api/changes`);
    server.child.kill("SIGTERM");
    await stream.text(); // it ends
    expect((await server.ended).code).toBe(0);
  },
);
