/** Everything that a nemesis can do. */
import { closeSync, openSync, readdirSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
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

export const KINDS: readonly Kind[] = [
  ...onServer(),
  ...byFailPoint(),
  ...onStored(),
  ...onLinks(),
  ...onProcesses(),
  ...onDisk(),
];

function needsMongo({ kind }: Scene): string | undefined {
  return kind === "mongodb" ? undefined : "there is no server";
}

function ours(scene: Scene): string | undefined {
  return (
    needsMongo(scene) ?? (scene.server === undefined ? "the server of MONGODB_URI is not ours" : undefined)
  );
}

function onServer(): Kind[] {
  return [
    {
      kind: "server killed with -9",
      weight: 4,
      exclusive: "server",
      lasts: 4,
      unfit: ours,
      apply: async ({ server, isDurable }) => {
        await server?.kill9();
        return {
          who: "all",
          ...CUT_OFF,
          ...(isDurable ? {} : { loses: "the latest" as const }),
          heal: () => server?.restart(),
        };
      },
    },
    {
      kind: "server paused",
      weight: 4,
      exclusive: "server",
      lasts: 5,
      unfit: ours,
      apply: async ({ server }) => {
        server?.pause();
        return { who: "all", ...HELD, heal: () => server?.resume() };
      },
    },
    {
      kind: "primary stepped down",
      weight: 4,
      exclusive: "server",
      asksServer: true,
      lasts: 3,
      unfit: needsMongo,
      apply: async (scene, lastsMs) => {
        const seconds = Math.max(1, Math.round(lastsMs / 1000));
        await admin(scene, { replSetStepDown: seconds, secondaryCatchUpPeriodSecs: 0, force: true });
        return { who: "all", ...CUT_OFF, detail: `${seconds} s`, heal: () => untilPrimary(scene) };
      },
    },
  ];
}

async function untilPrimary(scene: Scene): Promise<void> {
  await untilDone(async () => {
    const hello = await admin(scene, { hello: 1 });
    if (hello["isWritablePrimary"] !== true) throw new Error("it is not the primary");
  });
}

/** Tries again and again: the server may be away for a while. */
async function untilDone(act: () => Promise<unknown>): Promise<void> {
  for (;;) {
    const isDone = await act().then(
      () => true,
      () => false,
    );
    if (isDone) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function byFailPoint(): Kind[] {
  return [
    failing("connections closed", 3, [...READS, ...WRITES, "hello"], () => ({ closeConnection: true })),
    failing("NotWritablePrimary", 3, [...READS, ...WRITES], () => ({ errorCode: NOT_WRITABLE_PRIMARY })),
    failing("write concern errors", 3, WRITES, () => ({
      writeConcernError: { code: WRITE_CONCERN_FAILED, errmsg: "waiting for replication timed out" },
    })),
    failing("connections blocked", 3, [...READS, ...WRITES, "hello"], ({ random, periodMs }) => ({
      blockConnection: true,
      blockTimeMS: Math.round(periodMs * random.between(0.05, 1)),
    })),
    failing("change-stream history lost", 3, ["getMore", "aggregate"], () => ({
      errorCode: CHANGE_STREAM_HISTORY_LOST,
    })),
  ];
}

type Fails = (scene: Scene) => Document;

function failing(kind: string, weight: number, commands: readonly string[], data: Fails): Kind {
  return {
    kind: `fail point: ${kind}`,
    weight,
    exclusive: "fail point",
    asksServer: true,
    lasts: 2,
    unfit: needsMongo,
    apply: async (scene) => {
      const { random } = scene;
      const failCommands = random.chance(0.3) ? [...commands] : [random.pick(commands)];
      const mode = random.chance(0.5) ? "alwaysOn" : { times: random.whole(1, 60) };
      const all = { failCommands, appName: APP_NAME, ...data(scene) };
      await admin(scene, { configureFailPoint: "failCommand", mode, data: all });
      const detail = `${failCommands.join(", ")}; ${JSON.stringify(mode)}`;
      const heal = async (): Promise<void> => {
        // Where the server has gone, so has the fail point.
        await untilDone(() => admin(scene, { configureFailPoint: "failCommand", mode: "off" }));
      };
      return { who: "all", ...HAMPERED, detail, heal };
    },
  };
}

function onStored(): Kind[] {
  return [
    ...["records", "pings"].map((what): Kind => ({
      kind: `collection of ${what} dropped`,
      weight: 0.5,
      asksServer: true,
      lasts: 0,
      unfit: needsMongo,
      apply: async ({ control, namespace }) => {
        await control?.db().collection(`${namespace}.${what}`).drop();
        return { who: "all", ...DISTURBED, loses: "all", heal: () => {} };
      },
    })),
    {
      kind: "indexes dropped",
      weight: 1,
      asksServer: true,
      lasts: 0,
      unfit: needsMongo,
      apply: async ({ control, namespace, random }) => {
        const what = random.pick(["records", "pings"]);
        await control?.db().collection(`${namespace}.${what}`).dropIndexes();
        return { who: "all", ...DISTURBED, detail: what, heal: () => {} };
      },
    },
  ];
}

function onLinks(): Kind[] {
  return [
    linked("cut", 5, () => ({ kind: "cut" })),
    linked("held", 3, () => ({ kind: "hold", directions: ["up", "down"] })),
    linked("held in one direction", 4, (scene) => ({ kind: "hold", directions: [oneOfBoth(scene)] })),
    linked("delayed", 3, (scene) => ({ kind: "delay", directions: ["up", "down"], ms: delay(scene) })),
    linked("delayed in one direction", 3, (scene) => ({
      kind: "delay",
      directions: [oneOfBoth(scene)],
      ms: delay(scene),
    })),
    linked("half-closed", 4, (scene) => ({ kind: "half-close", direction: oneOfBoth(scene) })),
  ];
}

function linked(kind: string, weight: number, draw: (scene: Scene) => Condition): Kind {
  return {
    kind: `link ${kind}`,
    weight,
    lasts: 5,
    unfit: ({ links }) => (links.size === 0 ? "no link goes through a proxy" : undefined),
    apply: async (scene) => {
      const hit = some(scene.random, [...scene.links.keys()]);
      const condition = draw(scene);
      const heals = hit.map((name) => scene.links.get(name)?.impose(condition));
      return {
        who: hit,
        ...effectOf(condition),
        detail: JSON.stringify(condition),
        heal: () => heals.forEach((heal) => heal?.()),
      };
    },
  };
}

function effectOf(condition: Condition): Pick<Applied, "effect" | "isQuiet"> {
  if (condition.kind === "cut") return CUT_OFF;
  return condition.kind === "hold" && condition.directions.length === 2 ? HELD : HAMPERED;
}

function oneOfBoth({ random }: Scene): Direction {
  return random.pick(["up", "down"]);
}

function delay({ random, periodMs }: Scene): number {
  return Math.round(periodMs * random.between(0.02, 0.6));
}

function onProcesses(): Kind[] {
  return [
    {
      kind: "process paused",
      weight: 8,
      lasts: 6,
      apply: async (scene) => {
        const members = fewOf(scene, 4);
        const heals = members.map((member) => member.pause());
        return { who: names(members), ...STOPPED, heal: () => heals.forEach((heal) => heal()) };
      },
    },
    {
      kind: "process killed with -9",
      weight: 8,
      lasts: 5,
      apply: async (scene) => crash(fewOf(scene, 2)),
    },
    {
      kind: "process killed with -9 in the middle of writes",
      weight: 3,
      lasts: 5,
      apply: async (scene) => {
        const members = fewOf(scene, 2).filter(({ settings }) => settings.keys.length > 0);
        for (const member of members) member.tell({ do: "write" });
        await new Promise((resolve) => setTimeout(resolve, scene.random.between(1, scene.periodMs / 4)));
        return crash(members);
      },
    },
    {
      kind: "event loop full",
      weight: 6,
      lasts: 4,
      apply: async (scene, lastsMs) => {
        const members = fewOf(scene, 2);
        for (const member of members) member.tell({ do: "busy", ms: lastsMs });
        return { who: names(members), ...STOPPED, heal: () => {} };
      },
    },
    {
      kind: "wall clock stepped",
      weight: 5,
      lasts: 6,
      unfit: ({ kind, fleet }) => {
        if (kind === "sqlite") return "the wall clock of the machine is the store's, and one for all";
        const isThere = fleet.some(({ settings }) => settings.faketime !== undefined);
        return isThere ? undefined : "libfaketime is not installed (Debian: apt-get install libfaketime)";
      },
      apply: async (scene) => {
        const { random } = scene;
        const fake = scene.fleet.filter(({ settings }) => settings.faketime !== undefined);
        const members = Array.from({ length: random.whole(1, 4) }, () => random.pick(fake));
        const seconds = Number(((random.between(-60, 60) * scene.periodMs) / 1000).toFixed(3));
        for (const member of members) member.stepWall(seconds);
        const heal = (): void => members.forEach((member) => member.stepWall(0));
        return { who: names(members), ...DISTURBED, detail: `${seconds} s`, heal };
      },
    },
  ];
}

function onDisk(): Kind[] {
  return [
    {
      kind: "disk full",
      weight: 6,
      exclusive: "server",
      lasts: 4,
      unfit: ({ kind, disk }) => {
        if (kind !== "sqlite") return "it is the server's disk, not a disk of its own";
        return disk === undefined ? "a small file system could not be mounted, which takes root" : undefined;
      },
      apply: async ({ disk = "" }) => {
        const filler = join(disk, "filler");
        fill(filler);
        return { who: "all", ...CUT_OFF, heal: () => rmSync(filler, { force: true }) };
      },
    },
    {
      kind: "directory removed",
      weight: 1,
      exclusive: "server",
      lasts: 2,
      unfit: ({ kind }) => (kind === "sqlite" ? undefined : "there is no directory"),
      apply: async ({ directory = "" }) => {
        for (const name of readdirSync(directory))
          rmSync(join(directory, name), { recursive: true, force: true });
        // Everybody notices, and registers what it holds in the new files.
        return { who: "all", ...DISTURBED, loses: "all", heal: () => {} };
      },
    },
  ];
}

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

function crash(members: readonly Member[]): Applied {
  const crashed = Promise.all(members.map((member) => member.crash()));
  return {
    who: names(members),
    ...CUT_OFF,
    heal: async () => {
      await crashed;
      for (const member of members) member.start();
    },
  };
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
