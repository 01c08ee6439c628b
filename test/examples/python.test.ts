/** The example in Python, written from docs/format.md alone, beside presences of this library on one server. */
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { MongoClient } from "mongodb";
import { expect, it, onTestFinished } from "vitest";
import { Presence } from "../../src/index.ts";
import { Running } from "../cli/heartbit.ts";
import { makeOnce } from "../package/make-once.ts";
import { newDatabase } from "../servers/database.ts";
import { passes, until } from "../support/wait.ts";

const run = promisify(execFile);
const PROGRAM = "examples/python/heartbit.py";
const REQUIREMENTS = "examples/python/requirements.txt";
const PYTHON = process.platform === "win32" ? "Scripts/python.exe" : "bin/python";
const PERIOD_MS = 2000;
const INSTALL_MS = 120_000;

/** The Python of an environment with what the example uses, installed once into a cache. Rejects where it cannot be had. */
async function installPython(): Promise<string> {
  const hash = createHash("sha256").update(await readFile(REQUIREMENTS));
  const name = `heartbit-python-${hash.digest("hex").slice(0, 16)}`;
  const home = await makeOnce(join(process.cwd(), "node_modules/.cache", name), async (draft) => {
    await run("python3", ["-m", "venv", draft]);
    const install = ["-m", "pip", "install", "--quiet", "--requirement", REQUIREMENTS];
    await run(join(draft, PYTHON), install, { timeout: INSTALL_MS });
  });
  return join(home, PYTHON);
}

const python = await installPython().catch((error: unknown) => {
  console.warn(`examples/python is passed over: ${error instanceof Error ? error.message : String(error)}`);
  return "";
});

async function list(uri: string): Promise<string[]> {
  const { stdout } = await run(python, [PROGRAM, uri, "list"]);
  return stdout.split("\n").filter((line) => line !== "");
}

async function hold(uri: string, ...keys: string[]): Promise<Running> {
  const stdio = ["ignore", "pipe", "pipe"] as const;
  const running = new Running(spawn(python, [PROGRAM, uri, "hold", ...keys], { stdio: [...stdio] }));
  onTestFinished(() => void running.child.kill("SIGKILL"));
  await running.says("stdout", /\n/);
  return running;
}

/** What somebody else may have written, which a reader must ignore. */
async function addForeign(uri: string): Promise<void> {
  await using client = new MongoClient(uri);
  const strangers = ["x", 5, "1.y", "900000000.0"].map((id) => ({ _id: id as never, slot: 9e8, 0: "x" }));
  await client.db().collection("presence.pings").insertMany(strangers);
  const records = client.db().collection("presence.records");
  const own = await records.findOne({ key: "node" });
  const others = [
    { _id: "strange" },
    { ...own, _id: "another", start: 9, key: "under a wrong _id" },
    { ...own, _id: `${own?.["session"]}.7.1`, pinger: 7, key: 5 },
    { ...own, _id: `${own?.["session"]}.8.1`, pinger: 8, last: NaN },
  ];
  await records.insertMany(others as never[]);
}

it.skipIf(python === "")(
  "the example in Python holds keys that heartbit reports, lists those that heartbit holds, agrees on kills, ends and crashes",
  async () => {
    const uri = newDatabase();
    await using presence = await Presence.open(uri, { periodMs: PERIOD_MS });
    const reported: string[] = [];
    const watcher = presence.watcher();
    watcher.watch({ prefix: "python/" }, ({ key, cause }) => reported.push(`${key} ${cause}`));
    await watcher.sync();
    await presence.pinger("node").start();

    const stopping = await hold(uri, "python/stops");
    const crashing = await hold(uri, "python/crashes", "python/crashes too");
    await until(() => reported.length >= 3);
    await passes(4 * PERIOD_MS); // it stays alive for as long as it pings
    expect(reported.map((one) => one.split(" ").at(-1))).toEqual(["joined", "joined", "joined"]);
    expect(await list(uri)).toEqual(["node", "python/crashes", "python/crashes too", "python/stops"]);

    await addForeign(uri);
    await presence.kill("python/crashes too");
    await until(() => reported.includes("python/crashes too killed"));
    expect(await list(uri)).toEqual(["node", "python/crashes", "python/stops"]);
    stopping.child.kill("SIGINT");
    await until(() => reported.includes("python/stops killed"));
    crashing.child.kill("SIGKILL");
    await until(async () => (await list(uri)).length === 1);
    expect(await list(uri)).toEqual(["node"]);
    await until(async () => (await presence.list({ prefix: "python/" })).keys.every(({ alive }) => !alive));
  },
);
