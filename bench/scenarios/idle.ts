/** What a presence asks of MongoDB in a period: its commands, counted as the driver sends them. */
import { type CommandStartedEvent, MongoClient } from "mongodb";
import { Presence } from "../../src/index.ts";
import { LATE_PRUNING } from "../peers/heartbit.ts";
import { benchDatabase } from "../servers/database.ts";
import { wait } from "../measure/time.ts";
import { type Cost, costOf, perOne } from "../measure/window.ts";
import { type Section, show } from "../report/section.ts";
import { startMongo } from "../servers/mongo.ts";
import type { Scenario } from "./scenario.ts";

/** Until what has been written at the start is not read again. */
const SETTLING_PERIODS = 4;
const PERIOD_MS = 2000;
/** A process counts its records in every fourth period, and reads the config in every 32nd. */
const PERIODS = 16;
const QUICK_PERIODS = 4;
/** A ping, a quarter of a count, and now and then the config; a watcher also reads pings, and changes every other time. */
const HOLDING_MAX = 1.35;
const WATCHING_MAX = 2.9;

const MONITORING = "hello, by the driver's monitoring";

interface Kind {
  readonly what: string;
  readonly keys: number;
  readonly watches: boolean;
}

interface Row extends Kind {
  readonly commands: ReadonlyMap<string, number>;
  readonly cost: Cost;
}

const KINDS: readonly Kind[] = [
  { what: "holds a key", keys: 1, watches: false },
  { what: "holds 10,000 keys", keys: 10_000, watches: false },
  { what: "watches, and holds nothing", keys: 0, watches: true },
  { what: "holds 10,000 keys and watches them", keys: 10_000, watches: true },
];

export const idle: Scenario = {
  name: "idle",
  async run({ quick, say }) {
    const server = await startMongo();
    const periods = quick ? QUICK_PERIODS : PERIODS;
    const rows: Row[] = [];
    for (const kind of KINDS) {
      say(kind.what);
      const uri = benchDatabase(server.uri ?? "", "idle");
      // As heartbit makes its own.
      const options = { monitorCommands: true, serverMonitoringMode: "poll", maxPoolSize: 10 } as const;
      const client = await new MongoClient(uri, options).connect();
      const name = `kind-${rows.length}`;
      const presence = await Presence.open(client.db(), { name, periodMs: PERIOD_MS, clock: LATE_PRUNING });
      await presence.hold(Array.from({ length: kind.keys }, (_, key) => `key-${key}`));
      if (kind.watches) {
        const watcher = presence.watcher();
        watcher.watch({ all: true }, () => {});
        await watcher.sync();
      }
      await wait(SETTLING_PERIODS * PERIOD_MS);
      const commands = new Map<string, number>();
      const count = ({ commandName, command }: CommandStartedEvent): void => {
        const target: unknown = commandName === "getMore" ? command["collection"] : command[commandName];
        const what =
          typeof target === "string" ? `${commandName} ${target.replace(`${name}.`, "")}` : commandName;
        commands.set(what, (commands.get(what) ?? 0) + 1);
      };
      const monitored = (): void => void commands.set(MONITORING, (commands.get(MONITORING) ?? 0) + 1);
      client.on("commandStarted", count);
      client.on("serverHeartbeatStarted", monitored);
      const cost = perOne(await costOf(server.pid, () => wait(periods * PERIOD_MS)), periods);
      client.off("commandStarted", count);
      client.off("serverHeartbeatStarted", monitored);
      await presence.close();
      await client.close();
      rows.push({
        ...kind,
        commands: new Map([...commands].map(([what, times]) => [what, times / periods])),
        cost,
      });
    }
    await server.stop();
    return report(rows, periods);
  },
};

function report(rows: readonly Row[], periods: number): Section {
  const whats = [...new Set(rows.flatMap(({ commands }) => [...commands.keys()]))];
  const goals = rows.map(({ what, watches, commands }, index) => {
    const waiting = [...commands].filter(([name]) => name !== MONITORING && !name.startsWith("getMore"));
    const total = waiting.reduce((sum, [, times]) => sum + times, 0);
    const [pings, reads] = ["findAndModify pings", "find pings"].map((name) => commands.get(name) ?? 0);
    const most = watches ? WATCHING_MAX : HOLDING_MAX;
    return {
      id: `idle-${index}`,
      text: `a process that ${what} sends one ping a period${watches ? ", reads the pings once" : ""}, and at most ${most} commands in all`,
      figure: `${show(pings!)} pings, ${show(reads!)} reads of pings, ${show(total)} commands`,
      reached: pings! < 1.1 && reads! < 1.1 && total <= most,
    };
  });
  return {
    title: "What a presence asks of the server in a quiet period",
    about: `Counted as the driver sends them, over ${periods} periods of ${PERIOD_MS / 1000} s without any change, with a client like the one that heartbit makes from a connection string. In every fourth period a process has the server count its open records, by an index alone, and in every 32nd it reads the config. A change stream's \`getMore\` waits at the server for up to 5 s. Without pruning, which happens at random, in one of 120 periods. CPU is that of the server and of this process, with monitoring.`,
    tables: [
      {
        title: "Commands a period",
        columns: ["", ...rows.map(({ what }) => what)],
        rows: [
          ...whats.map((what) => [what, ...rows.map(({ commands }) => show(commands.get(what) ?? 0))]),
          ["server CPU, ms", ...rows.map(({ cost }) => show(cost.serverMs))],
          ["client CPU, ms", ...rows.map(({ cost }) => show(cost.clientMs))],
        ],
      },
    ],
    goals,
  };
}
