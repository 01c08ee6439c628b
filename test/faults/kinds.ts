/** Everything that a nemesis can do. */
import { closeSync, openSync, readdirSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as after } from "node:timers/promises";
import type { Document } from "mongodb";
import type { Member } from "./fleet.ts";
import type { Condition, Direction } from "./link.ts";
import type { Applied, Kind, Scene } from "./scene.ts";

const READS = ["find", "aggregate", "getMore"];
const WRITES = ["update", "findAndModify", "delete", "createIndexes"];
const NOT_WRITABLE_PRIMARY = 10107;
const CHANGE_STREAM_HISTORY_LOST = 286;
const WRITE_CONCERN_FAILED = 64;
const APP_NAME = "heartbit";

/** What each does to those that it hits, as the judge must know it. */
const CUT_OFF = { effect: "cut off", isQuiet: true } as const;
const HELD = { effect: "held", isQuiet: true } as const;
const HAMPERED = { effect: "hampered", isQuiet: true } as const;
const DISTURBED = { effect: "disturbed", isQuiet: true } as const;
const STOPPED = { effect: "cut off", isPause: true } as const;

// Why a kind of fault cannot be on a scene.

function needsMongo({ kind: store }: Scene): string | undefined {
  return store === "mongodb" ? undefined : "there is no server";
}

function ours(scene: Scene): string | undefined {
  const foreign = "the server of MONGODB_URI is not ours: see --kill and --restart";
  return needsMongo(scene) ?? (scene.server === undefined ? foreign : undefined);
}

function canPause(scene: Scene): string | undefined {
  return ours(scene) ?? (scene.server?.pause === undefined ? "no command pauses it" : undefined);
}

function noLinks({ links }: Scene): string | undefined {
  return links.size === 0 ? "no link goes through a proxy" : undefined;
}

function noFakeClocks(scene: Scene): string | undefined {
  if (scene.kind === "sqlite") return "the wall clock of the machine is the store's, and one for all";
  if (faked(scene).length > 0) return undefined;
  return "libfaketime is not installed (Debian: apt-get install libfaketime)";
}

function noDirectory({ kind: store }: Scene): string | undefined {
  return store === "sqlite" ? undefined : "there is no directory";
}

function noDisk({ kind: store, disk }: Scene): string | undefined {
  if (store !== "sqlite") return "it is the server's disk, not a disk of its own";
  return disk === undefined ? "a small file system could not be mounted, which takes root" : undefined;
}

/** One that hits the whole store, of which there is one at a time. */
const SERVER = { weight: 4, exclusive: "server" } as const;

function kind(name: string, settings: Omit<Kind, "kind" | "apply">, apply: Kind["apply"]): Kind {
  return { kind: name, ...settings, apply };
}

const ON_SERVER: readonly Kind[] = [
  kind("server killed with -9", { ...SERVER, lasts: 4, unfit: ours }, async ({ server, isDurable }) => {
    await server?.kill9();
    const loses = isDurable ? {} : { loses: "the latest" as const };
    return { ...CUT_OFF, ...loses, heal: () => server?.restart() };
  }),
  kind("server paused", { ...SERVER, lasts: 5, unfit: canPause }, async ({ server }) => {
    server?.pause?.();
    return { ...HELD, heal: () => server?.resume?.() };
  }),
  kind(
    "primary stepped down",
    { ...SERVER, asksServer: true, lasts: 3, unfit: needsMongo },
    async (scene, lastsMs) => {
      const seconds = Math.max(1, Math.round(lastsMs / 1000));
      await admin(scene, { replSetStepDown: seconds, secondaryCatchUpPeriodSecs: 0, force: true });
      const isPrimary = async (): Promise<boolean> =>
        (await admin(scene, { hello: 1 }))["isWritablePrimary"] === true;
      return { ...CUT_OFF, detail: `${seconds} s`, heal: () => untilDone(isPrimary) };
    },
  ),
];

const BY_FAIL_POINT: readonly Kind[] = [
  failing("connections closed", [...READS, ...WRITES, "hello"], () => ({ closeConnection: true })),
  failing("NotWritablePrimary", [...READS, ...WRITES], () => ({ errorCode: NOT_WRITABLE_PRIMARY })),
  failing("write concern errors", WRITES, () => ({
    writeConcernError: { code: WRITE_CONCERN_FAILED, errmsg: "waiting for replication timed out" },
  })),
  failing("connections blocked", [...READS, ...WRITES, "hello"], ({ random, periodMs }) => ({
    blockConnection: true,
    blockTimeMS: Math.round(periodMs * random.between(0.05, 1)),
  })),
  failing("change-stream history lost", ["getMore", "aggregate"], () => ({
    errorCode: CHANGE_STREAM_HISTORY_LOST,
  })),
];

function failing(what: string, commands: readonly string[], fails: (scene: Scene) => Document): Kind {
  const often = {
    weight: 3,
    exclusive: "fail point",
    asksServer: true,
    lasts: 2,
    unfit: needsMongo,
  } as const;
  return kind(`fail point: ${what}`, often, async (scene) => {
    const { random } = scene;
    const failCommands = random.chance(0.3) ? [...commands] : [random.pick(commands)];
    const mode = random.chance(0.5) ? "alwaysOn" : { times: random.whole(1, 60) };
    const configure = (more: Document): Promise<Document> =>
      admin(scene, { configureFailPoint: "failCommand", ...more });
    await configure({ mode, data: { failCommands, appName: APP_NAME, ...fails(scene) } });
    // Where the server has gone, so has the fail point.
    const heal = (): Promise<void> => untilDone(async () => (await configure({ mode: "off" }))["ok"] === 1);
    return { ...HAMPERED, detail: `${failCommands.join(", ")}; ${JSON.stringify(mode)}`, heal };
  });
}

/** Tries again and again: the server may be away for a while. */
async function untilDone(act: () => Promise<boolean>): Promise<void> {
  while (!(await act().catch(() => false))) await after(50);
}

const ON_STORED: readonly Kind[] = [
  dropping("collection of records dropped", 0.5, ["records"], "drop"),
  dropping("collection of pings dropped", 0.5, ["pings"], "drop"),
  dropping("indexes dropped", 1, ["records", "pings"], "dropIndexes"),
];

function dropping(name: string, weight: number, collections: string[], drop: "drop" | "dropIndexes"): Kind {
  const settings = { weight, asksServer: true, lasts: 0, unfit: needsMongo };
  return kind(name, settings, async ({ control, namespace, random }) => {
    const what = random.pick(collections);
    await control?.db().collection(`${namespace}.${what}`)[drop]();
    return { ...DISTURBED, detail: what, ...(drop === "drop" ? { loses: "all" as const } : {}) };
  });
}

const BOTH: readonly Direction[] = ["up", "down"];

const ON_LINKS: readonly Kind[] = [
  linked("cut", 5, CUT_OFF, () => ({ kind: "cut" })),
  linked("held", 3, HELD, () => ({ kind: "hold", directions: BOTH })),
  linked("held in one direction", 4, HAMPERED, (scene) => ({ kind: "hold", directions: [oneOfBoth(scene)] })),
  linked("delayed", 3, HAMPERED, (scene) => delay(scene, BOTH)),
  linked("delayed in one direction", 3, HAMPERED, (scene) => delay(scene, [oneOfBoth(scene)])),
  linked("half-closed", 4, HAMPERED, (scene) => ({ kind: "half-close", direction: oneOfBoth(scene) })),
];

type Draw = (scene: Scene) => Condition;

function linked(what: string, weight: number, effect: Pick<Applied, "effect" | "isQuiet">, draw: Draw): Kind {
  return kind(`link ${what}`, { weight, lasts: 5, unfit: noLinks }, async (scene) => {
    const who = some(scene.random, [...scene.links.keys()]);
    const condition = draw(scene);
    const heals = who.map((name) => scene.links.get(name)?.impose(condition));
    const heal = (): void => heals.forEach((each) => each?.());
    return { who, ...effect, detail: JSON.stringify(condition), heal };
  });
}

function oneOfBoth({ random }: Scene): Direction {
  return random.pick(BOTH);
}

function delay({ random, periodMs }: Scene, directions: readonly Direction[]): Condition {
  return { kind: "delay", directions, ms: Math.round(periodMs * random.between(0.02, 0.6)) };
}

const ON_PROCESSES: readonly Kind[] = [
  kind("process paused", { weight: 8, lasts: 6 }, async (scene) => {
    const members = fewOf(scene, 4);
    const heals = members.map((member) => member.pause());
    return { who: names(members), ...STOPPED, heal: () => heals.forEach((heal) => heal()) };
  }),
  kind("process killed with -9", { weight: 8, lasts: 5 }, async (scene) => crash(fewOf(scene, 2))),
  kind("process killed with -9 in the middle of writes", { weight: 3, lasts: 5 }, async (scene) => {
    const members = fewOf(scene, 2).filter(({ settings }) => settings.keys.length > 0);
    for (const member of members) member.tell({ do: "write" });
    await after(scene.random.between(1, scene.periodMs / 4));
    return crash(members);
  }),
  kind("event loop full", { weight: 6, lasts: 4 }, async (scene, lastsMs) => {
    const members = fewOf(scene, 2);
    for (const member of members) member.tell({ do: "busy", ms: lastsMs });
    return { who: names(members), ...STOPPED };
  }),
  kind("wall clock stepped", { weight: 5, lasts: 6, unfit: noFakeClocks }, async (scene) => {
    const { random, periodMs } = scene;
    const members = Array.from({ length: random.whole(1, 4) }, () => random.pick(faked(scene)));
    const seconds = Number(((random.between(-60, 60) * periodMs) / 1000).toFixed(3));
    const step = (by: number): void => members.forEach((member) => member.stepWall(by));
    step(seconds);
    return { who: names(members), ...DISTURBED, detail: `${seconds} s`, heal: () => step(0) };
  }),
];

function faked({ fleet }: Scene): Member[] {
  return fleet.filter(({ settings }) => settings.faketime !== undefined);
}

const ON_DISK: readonly Kind[] = [
  kind("disk full", { ...SERVER, weight: 6, lasts: 4, unfit: noDisk }, async ({ disk = "" }) => {
    const filler = join(disk, "filler");
    fill(filler);
    return { ...CUT_OFF, heal: () => rmSync(filler, { force: true }) };
  }),
  kind("directory removed", { ...SERVER, weight: 1, lasts: 2, unfit: noDirectory }, async (scene) => {
    const { directory = "" } = scene;
    for (const name of readdirSync(directory))
      rmSync(join(directory, name), { recursive: true, force: true });
    // Everybody notices, and registers what it holds in the new files.
    return { ...DISTURBED, loses: "all" };
  }),
];

/** Writes until there is no space left. */
function fill(path: string): void {
  const file = openSync(path, "w");
  try {
    for (let size = 2 ** 20; size >= 1;) {
      try {
        writeSync(file, Buffer.alloc(size));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
        size = Math.floor(size / 2);
      }
    }
  } finally {
    closeSync(file);
  }
}

export const KINDS: readonly Kind[] = [
  ...ON_SERVER,
  ...BY_FAIL_POINT,
  ...ON_STORED,
  ...ON_LINKS,
  ...ON_PROCESSES,
  ...ON_DISK,
];

function crash(members: readonly Member[]): Applied {
  const crashed = Promise.all(members.map((member) => member.crash()));
  const heal = async (): Promise<void> => {
    await crashed;
    for (const member of members) member.start();
  };
  return { who: names(members), ...CUT_OFF, heal };
}

function fewOf({ random, fleet }: Scene, most: number): Member[] {
  const running = fleet.filter(({ isRunning, isPaused }) => isRunning && !isPaused);
  const members = new Set<Member>();
  for (let left = random.whole(1, most); left > 0 && running.length > 0; left--)
    members.add(random.pick(running));
  return [...members];
}

/** One, some or all. */
function some(random: Scene["random"], all: readonly string[]): readonly string[] {
  const part = random.pick([0, 0, 0.1, 0.3, 1]);
  const chosen = all.filter(() => random.chance(part));
  return chosen.length > 0 ? chosen : [random.pick(all)];
}

function names(members: readonly Member[]): string[] {
  return members.map(({ name }) => name);
}

async function admin({ control }: Scene, command: Document): Promise<Document> {
  if (control === undefined) throw new Error("there is no server");
  return control.db("admin").command(command);
}
