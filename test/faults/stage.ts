/** Sets the scene: a server and links to it, or a directory; and the fleet, whose processes are not started yet. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Document, MongoClient } from "mongodb";
import type * as Selection from "../../src/core/selection.ts";
import type * as Library from "../../src/index.ts";
import type { openSqlite } from "../../src/stores/sqlite/index.ts";
import { startServer } from "../servers/index.ts";
import { addressOf, isAlone, withDatabase, withHost, withOptions } from "../servers/uri.ts";
import { Random } from "../simulator/random.ts";
import { Member, type MemberSettings, type Note } from "./fleet.ts";
import { Link } from "./link.ts";
import type { Counts } from "../judge/log.ts";
import type { Watched } from "./log.ts";
import type { Scene } from "./scene.ts";

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
}

const NAMESPACE = "presence";
const CONTROL_MS = 2000;
/** Of the file system that can be filled. */
const DISK = "48m";

export function setStage(settings: StageSettings, note: Note): Promise<Scene> {
  mkdirSync(settings.logs, { recursive: true });
  return settings.store === "mongodb" ? setMongo(settings, note) : setSqlite(settings, note);
}

async function setMongo(settings: StageSettings, note: Note): Promise<Scene> {
  const { isDurable, periodMs, seed } = settings;
  const given = process.env["MONGODB_URI"];
  const server =
    given === undefined || given === ""
      ? await startServer({ durable: isDurable, say: console.log })
      : undefined;
  const uri = withDatabase(server?.uri ?? given ?? "", `heartbit_faults_${process.pid}`);
  const control = new MongoClient(directly(uri), {
    appName: "nemesis",
    serverSelectionTimeoutMS: CONTROL_MS,
    heartbeatFrequencyMS: 500,
  });
  const { version } = await control.db("admin").command({ buildInfo: 1 });
  const links = new Map<string, Link>();
  const port = portOf(uri);
  const libraryOfTime = findFaketime();
  const fleet = await Promise.all(
    Array.from({ length: settings.processes }, async (_, index) => {
      const role = roleOf(index, settings);
      const faketime = index % 3 === 0 ? libraryOfTime : undefined;
      // One in five finds the server as a program would, and not through a proxy.
      const link = index % 5 === 4 || port === undefined ? undefined : await Link.open(port);
      if (link !== undefined) links.set(role.name, link);
      const target = link === undefined ? uri : directly(throughLink(uri, link.port));
      return new Member({ ...role, target, faketime, built: settings.built, directory: settings.logs }, note);
    }),
  );
  const count = async (what: string, query: Document = {}): Promise<number> =>
    control.db().collection(`${NAMESPACE}.${what}`).countDocuments(query);
  const probed = control.db().collection<{ _id: string }>("nemesis");
  return {
    kind: "mongodb",
    place: `${server?.name ?? "the server of MONGODB_URI"} (as MongoDB ${version}), ${isDurable ? "durable" : "acknowledging before the journal"}`,
    random: new Random(seed),
    periodMs,
    namespace: NAMESPACE,
    fleet,
    links,
    ...(server === undefined ? {} : { server }),
    isDurable,
    control,
    count: async (): Promise<Omit<Counts, "t">> => ({
      sessions: await count("records", { opened: { $exists: true } }),
      registrations: await count("records", { pinger: { $exists: true } }),
      pings: await count("pings"),
    }),
    probe: () => probed.findOneAndUpdate({ _id: "probe" }, { $inc: { count: 1 } }, { upsert: true }),
    end: async () => {
      await control
        .db()
        .dropDatabase()
        .catch(() => {}); // with a server of ours all goes anyway
      await control.close();
      await Promise.all(Array.from(links.values(), (link) => link.close()));
      await server?.stop();
    },
  };
}

async function setSqlite(settings: StageSettings, note: Note): Promise<Scene> {
  const { built, logs, periodMs, seed } = settings;
  const store = join(logs, "store");
  mkdirSync(store, { recursive: true });
  const isMounted = mount(store);
  const fleet = Array.from({ length: settings.processes }, (_, index) => {
    const role = roleOf(index, settings);
    return new Member(
      { ...role, target: `sqlite:${store}`, faketime: undefined, built, directory: logs },
      note,
    );
  });
  const stores = (await import(pathToFileURL(join(built, "stores/sqlite/index.js")).href)) as {
    openSqlite: typeof openSqlite;
  };
  const { EVERYTHING } = (await import(
    pathToFileURL(join(built, "core/selection.js")).href
  )) as typeof Selection;
  return {
    kind: "sqlite",
    place: `SQLite on ${isMounted ? `a file system of ${DISK}` : "the disk"}`,
    random: new Random(seed),
    periodMs,
    namespace: NAMESPACE,
    fleet,
    links: new Map(),
    isDurable: true,
    directory: store,
    ...(isMounted ? { disk: store } : {}),
    count: async () => {
      const opened = await stores.openSqlite(store); // each time: the files may have been removed since
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
      if (isMounted) execFileSync("umount", ["--lazy", store]);
      rmSync(store, { recursive: true, force: true });
    },
  };
}

interface Role extends Pick<MemberSettings, "name" | "keys" | "watched"> {
  readonly options: Library.PresenceOptions;
}

/** Holders, watchers, and both; some keys are held by two; some hear of changes by polling. */
function roleOf(index: number, { periodMs, retentionSlots, processes }: StageSettings): Role {
  const kind = index % 10;
  const pair = index % 5 === 0 ? [`pair/${index % Math.ceil(processes / 2)}`] : [];
  const keys = kind === 9 ? [] : kind >= 7 ? [`web/${index}`, `db/${index}`] : [`web/${index}`, ...pair];
  const watched: Watched[] = kind === 7 || kind === 8 ? [] : kind === 5 || kind === 6 ? ["web/"] : [""];
  const feed = index % 7 === 3 ? "poll" : "auto";
  return {
    name: `p${String(index).padStart(2, "0")}`,
    keys,
    watched,
    options: { name: NAMESPACE, periodMs, retentionSlots, feed },
  };
}

const LOCAL_HOSTS = new Set(["localhost", "127.0.0.1"]);

/** The port of a server on this machine that stands alone in the URI: else no proxy can stand before it. */
function portOf(uri: string): number | undefined {
  const { host, port } = addressOf(uri);
  const isPlain = !/[?&](?:tls|ssl)=true/i.test(uri);
  return isAlone(uri) && isPlain && LOCAL_HOSTS.has(host) ? port : undefined;
}

function throughLink(uri: string, port: number): string {
  return withHost(uri, `127.0.0.1:${port}`);
}

/** So that the driver stays with this address, where it is one, and does not go where the server says that it is. */
function directly(uri: string): string {
  return isAlone(uri) ? withOptions(uri, "directConnection=true") : uri;
}

function findFaketime(): string | undefined {
  const folders = ["/usr/lib/faketime", ...libraryFolders().map((folder) => join(folder, "faketime"))];
  return folders.map((folder) => join(folder, "libfaketime.so.1")).find((path) => existsSync(path));
}

function libraryFolders(): string[] {
  try {
    return readdirSync("/usr/lib").map((name) => join("/usr/lib", name));
  } catch {
    return [];
  }
}

/** A small file system of its own, where that may be done. */
function mount(folder: string): boolean {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${DISK}`, "tmpfs", folder], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
