/** The example in Python, written from docs/format.md alone, beside presences of this library on one server. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { describe, expect, it, onTestFinished } from "vitest";
import { Presence } from "../../src/index.ts";
import { newDatabase } from "../servers/database.ts";
import { passes, until } from "../support/wait.ts";

const run = promisify(execFile);
const folder = join(process.cwd(), "examples/python");
const PERIOD_MS = 2000;
const INSTALL_MS = 120_000;

/** The Python of an environment with what the example uses, installed once into a cache. Rejects where it cannot be had. */
async function installPython(): Promise<string> {
  const requirements = join(folder, "requirements.txt");
  const hash = createHash("sha256")
    .update(await readFile(requirements))
    .digest("hex")
    .slice(0, 16);
  const cache = join(process.cwd(), "node_modules/.cache");
  const home = join(cache, `heartbit-python-${hash}`);
  const python = process.platform === "win32" ? "Scripts/python.exe" : "bin/python";
  if (existsSync(home)) return join(home, python);
  await mkdir(cache, { recursive: true });
  const draft = await mkdtemp(join(cache, "heartbit-python-draft-"));
  try {
    await run("python3", ["-m", "venv", draft]);
    const install = ["-m", "pip", "install", "--quiet", "--requirement", requirements];
    await run(join(draft, python), install, { timeout: INSTALL_MS });
    await rename(draft, home).catch((error: unknown) => {
      if (!existsSync(home)) throw error; // else another run was sooner
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return join(home, python);
}

const python = await installPython().catch((error: unknown) => {
  console.warn(`examples/python is passed over: ${error instanceof Error ? error.message : String(error)}`);
  return undefined;
});

describe.skipIf(python === undefined)("the example in Python", () => {
  const program = join(folder, "heartbit.py");

  async function list(uri: string): Promise<string[]> {
    const { stdout } = await run(python ?? "", [program, uri, "list"]);
    return stdout.split("\n").filter((line) => line !== "");
  }

  async function hold(uri: string, ...keys: string[]): Promise<ChildProcess> {
    const child = spawn(python ?? "", [program, uri, "hold", ...keys], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    if (child.stdout === null) return expect.fail("it has an output");
    await once(createInterface({ input: child.stdout }), "line");
    return child;
  }

  it("holds keys that heartbit reports, lists those that heartbit holds, and agrees on crashes", async () => {
    const uri = newDatabase();
    await using presence = await Presence.open(uri, { periodMs: PERIOD_MS });
    const reported: string[] = [];
    const watcher = presence.watcher();
    watcher.watch({ prefix: "python/" }, ({ key, cause }) => reported.push(`${key} ${cause}`));
    await watcher.sync();
    await presence.pinger("node").start();

    const stopping = await hold(uri, "python/stops");
    const crashing = await hold(uri, "python/crashes", "python/crashes too");
    await until(() => reported.length === 3);
    expect(reported.map((one) => one.split(" ").at(-1))).toEqual(["joined", "joined", "joined"]);
    expect(await list(uri)).toEqual(["node", "python/crashes", "python/crashes too", "python/stops"]);

    stopping.kill("SIGINT");
    await until(() => reported.includes("python/stops killed"));
    crashing.kill("SIGKILL");
    await until(async () => (await list(uri)).length === 1);
    expect(await list(uri)).toEqual(["node"]);
    await until(async () => (await presence.list({ prefix: "python/" })).keys.every(({ alive }) => !alive));
  });

  it("stays alive for as long as it pings", async () => {
    const uri = newDatabase();
    await using presence = await Presence.open(uri, { periodMs: PERIOD_MS / 2 });
    const child = await hold(uri, "python/pings");
    const deaths: string[] = [];
    const watcher = presence.watcher();
    watcher.watch("python/pings", ({ alive, cause }) => !alive && deaths.push(cause));
    await watcher.sync();
    await passes(5 * (PERIOD_MS / 2));
    expect(deaths).toEqual([]);
    child.kill("SIGINT");
    await until(() => deaths.length > 0);
    expect(deaths).toEqual(["killed"]);
  });
});
