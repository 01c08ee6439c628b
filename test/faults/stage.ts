/** Sets the scene: a server and links to it, or a directory; and the fleet, whose processes are not started yet. */
import { exec, execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { MongoClient } from "mongodb";
import { EVERYTHING } from "../../src/core/selection.ts";
import type { PresenceOptions } from "../../src/index.ts";
import { openSqlite } from "../../src/stores/sqlite/index.ts";
import { startServer } from "../servers/index.ts";
import { addressOf, isAlone, withDatabase, withHost, withOptions } from "../servers/uri.ts";
import { Random } from "../simulator/random.ts";
import { Member, type Note } from "./fleet.ts";
import { Link } from "./link.ts";
import type { Killable, Scene } from "./scene.ts";

export interface StageSettings {
  readonly store: "mongodb" | "sqlite";
  readonly isDurable: boolean;
  readonly processes: number;
  readonly periodMs: number;
  readonly retentionSlots: number;
  readonly seed: number;
  /** The built package. */
  readonly built: string;
  /** Where the logs go. */
  readonly logs: string;
  /** Shell commands that kill the server of MONGODB_URI, or one of its members, and start it again. */
  readonly kill?: string | undefined;
  readonly restart?: string | undefined;
}

const NAMESPACE = "presence";
const CONTROL_MS = 2000;
/** Of the file system that can be filled. */
const DISK = "48m";
const LOCAL_HOSTS = new Set(["localhost", "127.0.0.1"]);

export function setStage(settings: StageSettings, note: Note): Promise<Scene> {
  return settings.store === "mongodb" ? setMongo(settings, note) : setSqlite(settings, note);
}

async function setMongo(settings: StageSettings, note: Note): Promise<Scene> {
  const { isDurable, periodMs, seed } = settings;
  const given = process.env["MONGODB_URI"] ?? "";
  const server = given === "" ? await startServer({ durable: isDurable, say: console.log }) : undefined;
  const uri = withDatabase(server?.uri ?? given, `heartbit_faults_${process.pid}`);
  const patience = { serverSelectionTimeoutMS: CONTROL_MS, heartbeatFrequencyMS: 500 };
  const control = new MongoClient(directly(uri), { appName: "nemesis", ...patience });
  const db = control.db();
  const { version } = await db.admin().command({ buildInfo: 1 });
  const name = server?.name ?? "the server of MONGODB_URI";
  const links = new Map<string, Link>();
  const faketime = findFaketime();
  const fleet: Member[] = [];
  for (let index = 0; index < settings.processes; index++) {
    const role = roleOf(index, settings);
    // One in five finds the server as a program would, and not through a proxy.
    const link = index % 5 === 4 || !mayBeProxied(uri) ? undefined : await Link.open(addressOf(uri).port);
    if (link !== undefined) links.set(role.name, link);
    const target = link === undefined ? uri : directly(withHost(uri, `127.0.0.1:${link.port}`));
    fleet.push(new Member({ ...role, target, faketime: index % 3 === 0 ? faketime : undefined }, note));
  }
  const count = (what: string, has?: string): Promise<number> =>
    db
      .collection(`${NAMESPACE}.${what}`)
      .countDocuments(has === undefined ? {} : { [has]: { $exists: true } });
  return {
    kind: "mongodb",
    place: `${name} (as MongoDB ${version}), ${isDurable ? "durable" : "acknowledging before the journal"}`,
    random: new Random(seed),
    periodMs,
    namespace: NAMESPACE,
    fleet,
    links,
    ...withKillable(server, settings),
    isDurable,
    control,
    count: async () => ({
      sessions: await count("records", "opened"),
      registrations: await count("records", "pinger"),
      pings: await count("pings"),
    }),
    probe: () =>
      db
        .collection<{ _id: string }>("nemesis")
        .findOneAndUpdate({ _id: "probe" }, { $inc: { count: 1 } }, { upsert: true }),
    end: async () => {
      await db.dropDatabase().catch(() => {}); // with a server of ours all goes anyway
      await control.close();
      await Promise.all(Array.from(links.values(), (link) => link.close()));
      await server?.stop();
    },
  };
}

function withKillable(server: Killable | undefined, { kill, restart }: StageSettings): Pick<Scene, "server"> {
  if (server !== undefined) return { server };
  if (kill === undefined || restart === undefined) return {};
  return { server: { kill9: () => run(kill), restart: () => run(restart) } };
}

async function run(command: string): Promise<void> {
  await promisify(exec)(command);
}

async function setSqlite(settings: StageSettings, note: Note): Promise<Scene> {
  const { logs, periodMs, seed, processes } = settings;
  const directory = join(logs, "store");
  mkdirSync(directory, { recursive: true });
  const isMounted = mount(directory);
  const own = { target: `sqlite:${directory}`, faketime: undefined };
  return {
    kind: "sqlite",
    place: `SQLite on ${isMounted ? `a file system of ${DISK}` : "the disk"}`,
    random: new Random(seed),
    periodMs,
    namespace: NAMESPACE,
    fleet: Array.from({ length: processes }, (_, index) => {
      return new Member({ ...roleOf(index, settings), ...own }, note);
    }),
    links: new Map(),
    isDurable: true,
    directory,
    ...(isMounted ? { disk: directory } : {}),
    count: async () => {
      const opened = await openSqlite(directory); // each time: the files may have been removed since
      try {
        const namespace = opened.namespace(NAMESPACE);
        const [sessions, registrations] = [new Set<number>(), new Set<string>()];
        for await (const page of namespace.read({ select: EVERYTHING })) {
          for (const { seq } of page.sessions) sessions.add(seq);
          for (const { session, pinger, start } of page.registrations)
            registrations.add(`${session} ${pinger} ${start}`);
        }
        const pings = (await namespace.pings(0)).length;
        return { sessions: sessions.size, registrations: registrations.size, pings };
      } finally {
        await opened.close();
      }
    },
    probe: () => Promise.resolve(), // what slows it down is this machine, or a lock that has a name in the faults
    end: async () => {
      if (isMounted) unmount(directory);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Holders, watchers, and both; some keys are held by two; some hear of changes by polling. */
function roleOf(index: number, { periodMs, retentionSlots, processes, built, logs }: StageSettings) {
  const kind = index % 10;
  const pair = index % 5 === 0 ? [`pair/${index % Math.ceil(processes / 2)}`] : [];
  const feed: PresenceOptions["feed"] = index % 7 === 3 ? "poll" : "auto";
  const options: PresenceOptions = { name: NAMESPACE, periodMs, retentionSlots, feed };
  return {
    name: `p${String(index).padStart(2, "0")}`,
    keys: kind === 9 ? [] : kind >= 7 ? [`web/${index}`, `db/${index}`] : [`web/${index}`, ...pair],
    watched: kind === 7 || kind === 8 ? [] : kind === 5 || kind === 6 ? ["web/"] : [""],
    options,
    built,
    directory: logs,
  };
}

/** A server on this machine that stands alone in the URI: else no proxy can stand before it. */
function mayBeProxied(uri: string): boolean {
  return isAlone(uri) && !/[?&](?:tls|ssl)=true/i.test(uri) && LOCAL_HOSTS.has(addressOf(uri).host);
}

/** So that the driver stays with this address, where it is one, and does not go where the server says that it is. */
function directly(uri: string): string {
  return isAlone(uri) ? withOptions(uri, "directConnection=true") : uri;
}

/** The library that fakes the clocks of a process. */
function findFaketime(): string | undefined {
  const folders = existsSync("/usr/lib") ? readdirSync("/usr/lib") : [];
  return ["", ...folders]
    .map((folder) => join("/usr/lib", folder, "faketime/libfaketime.so.1"))
    .find((path) => existsSync(path));
}

/** A small file system of its own, where that may be done. A run that was killed has left one. */
function mount(folder: string): boolean {
  try {
    unmount(folder);
  } catch {
    // It has left none.
  }
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${DISK}`, "tmpfs", folder], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function unmount(folder: string): void {
  execFileSync("umount", ["--lazy", folder], { stdio: "ignore" });
}
