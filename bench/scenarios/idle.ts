/** What a presence asks of MongoDB in a period: its commands, counted as the driver sends them. */
import { type CommandStartedEvent, MongoClient } from "mongodb";
import { Presence } from "../../src/index.ts";
import { benchDatabase } from "../servers/database.ts";
import { wait } from "../measure/time.ts";
import { type Cost, costOf, perOne } from "../measure/window.ts";
import { type Section, show } from "../report/section.ts";
import { startMongo } from "../servers/mongo.ts";
import type { Scenario } from "./scenario.ts";

/** Until what has been written at the start is not read again. */
const SETTLING_PERIODS = 4;

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
    const periods = quick ? 3 : 10;
    const periodMs = quick ? 1000 : 2000;
    const rows: Row[] = [];
    for (const kind of KINDS) {
      say(kind.what);
      const uri = benchDatabase(server.uri ?? "", "idle");
      const options = { monitorCommands: true, heartbeatFrequencyMS: periodMs / 2 };
      const client = await new MongoClient(uri, options).connect();
      const name = `kind-${rows.length}`;
      const presence = await Presence.open(client.db(), { name, periodMs });
      await Promise.all(Array.from({ length: kind.keys }, (_, key) => presence.pinger(`key-${key}`).start()));
      if (kind.watches) {
        const watcher = presence.watcher();
        watcher.watch({ all: true }, () => {});
        await watcher.sync();
      }
      await wait(SETTLING_PERIODS * periodMs);
      const commands = new Map<string, number>();
      const count = ({ commandName, command }: CommandStartedEvent): void => {
        const target: unknown = commandName === "getMore" ? command["collection"] : command[commandName];
        const what =
          typeof target === "string" ? `${commandName} ${target.replace(`${name}.`, "")}` : commandName;
        commands.set(what, (commands.get(what) ?? 0) + 1);
      };
      client.on("commandStarted", count);
      const cost = perOne(await costOf(server.pid, () => wait(periods * periodMs)), periods);
      client.off("commandStarted", count);
      await presence.close();
      await client.close();
      rows.push({
        ...kind,
        commands: new Map([...commands].map(([what, times]) => [what, times / periods])),
        cost,
      });
    }
    await server.stop();
    return report(rows, periods, periodMs);
  },
};

function report(rows: readonly Row[], periods: number, periodMs: number): Section {
  const whats = [...new Set(rows.flatMap(({ commands }) => [...commands.keys()]))];
  const goals = rows.map(({ what, commands }, index) => {
    const of = (...names: string[]): number =>
      names.reduce((sum, name) => sum + (commands.get(name) ?? 0), 0);
    const total = [...commands]
      .filter(([name]) => !name.startsWith("getMore"))
      .reduce((sum, [, n]) => sum + n, 0);
    const pings = of("update pings");
    const reads = of("find pings");
    const polls = of("find registrations");
    const others = total - pings - reads - polls;
    return {
      id: `idle-${index}`,
      text: `a process that ${what} sends one ping, one read of the pings and at most one slow poll of registrations a period, three commands in all`,
      figure: `${show(pings)} pings written, ${show(reads)} times pings read, ${show(polls)} polls of registrations, ${show(others)} other commands`,
      reached: pings < 1.2 && reads < 1.2 && polls < 1.2 && total < 3.2,
    };
  });
  return {
    title: "What a presence asks of the server in a quiet period",
    about: `Counted as the driver sends them, on a client that monitors its server twice a period, as heartbit's own do (a client that does so less often sends one \`hello\` more a period), over ${periods} periods of ${periodMs / 1000} s without any change. A change stream's \`getMore\` waits at the server for up to 5 s. Pruning happens at random, in one of 120 periods.`,
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
