/** What it takes to begin: importing, opening until the first key is visible, the size of the package. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { fileURLToPath } from "node:url";
import { median } from "../measure/quantiles.ts";
import { clockMs } from "../measure/time.ts";
import { Presence } from "../../src/index.ts";
import { pack, type Tarball } from "../../test/package/pack.ts";
import { benchDatabase } from "../servers/database.ts";
import { type Section, show } from "../report/section.ts";
import { startMongo } from "../servers/mongo.ts";
import type { Scenario } from "./scenario.ts";

const run = promisify(execFile);
/** Seen from bench/dist/bench/scenarios. */
const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const IMPORT_MS = 60;
const PACKED_BYTES = 150_000;

export const startup: Scenario = {
  name: "startup",
  async run({ quick, say }) {
    const turns = quick ? 7 : 21;
    say("building the package");
    await run("npm", ["run", "--silent", "build"], { cwd: ROOT });
    say("importing");
    const imports = {
      nothing: await nodeMs("", turns),
      heartbit: await nodeMs(`await import(${JSON.stringify(`${ROOT}dist/index.js`)})`, turns),
      driver: await nodeMs('await import("mongodb")', turns),
    };
    say("opening");
    const server = await startMongo();
    const opens: number[] = [];
    for (let turn = 0; turn < turns; turn++) {
      const began = clockMs();
      const presence = await Presence.open(benchDatabase(server.uri ?? "", "startup"), {
        name: `turn-${turn}`,
      });
      await presence.pinger("first").start();
      opens.push(clockMs() - began);
      await presence.close();
    }
    await server.stop();
    say("packing");
    await using whole = await pack(join(ROOT, "dist"));
    await using lean = await pack(join(ROOT, "dist"), ["dist/dashboard"]);
    return report(imports, opens, whole, lean);
  },
};

/** How long a process takes that does only this, in ms: the least of some, with the least of what else the machine did. */
async function nodeMs(code: string, turns: number): Promise<number> {
  const times: number[] = [];
  for (let turn = 0; turn < turns; turn++) {
    const began = clockMs();
    await run(process.execPath, ["--input-type=module", "-e", code], { cwd: ROOT });
    times.push(clockMs() - began);
  }
  return Math.min(...times);
}

function report(
  imports: Readonly<Record<string, number>>,
  opens: readonly number[],
  packed: Tarball,
  lean: Tarball,
): Section {
  const { nothing = NaN, heartbit = NaN, driver = NaN } = imports;
  return {
    title: "Beginning",
    about: `Importing: a process that imports it, minus one that imports nothing, the minimum of ${opens.length} each, since other work of the machine only adds time. Opening: from \`Presence.open\` with a connection string, including connecting and creating collections and indexes, until \`start\` of the first key has resolved.`,
    tables: [
      {
        title: "Beginning",
        columns: ["", ""],
        rows: [
          ["importing heartbit, ms", show(heartbit - nothing)],
          ["importing the driver, ms", show(driver - nothing)],
          ["from opening to the first key visible, ms, median", show(median(opens))],
          ["the package as npm packs it, bytes", packed.size.toLocaleString("en-US")],
          ["without the dashboard, bytes", lean.size.toLocaleString("en-US")],
          ["unpacked, bytes", packed.unpackedSize.toLocaleString("en-US")],
        ],
      },
    ],
    goals: [
      {
        id: "import",
        text: `imported in under ${IMPORT_MS} ms, without the driver`,
        figure: `${show(heartbit - nothing)} ms`,
        reached: heartbit - nothing < IMPORT_MS,
      },
      {
        id: "packed",
        text: `the package under ${PACKED_BYTES / 1000} kB packed, without the dashboard`,
        figure: `${show(lean.size / 1000)} kB`,
        reached: lean.size < PACKED_BYTES,
      },
    ],
  };
}
