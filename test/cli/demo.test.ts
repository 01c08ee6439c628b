import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MongoClient } from "mongodb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { newDatabase } from "../servers/database.ts";
import { until } from "../support/wait.ts";
import { type Ended, heartbit, holding, isRunning, newDirectory, type Running, start } from "./heartbit.ts";

interface Report {
  readonly ok: boolean;
  readonly rows: readonly { who: string; told: string | null; ok: boolean }[];
}

describe("demo", () => {
  const ends: (() => void)[] = [];
  let temporary = "";
  let uri = "";
  let embedded: Ended;
  let server: Ended;
  /** The dashboard's keys and page, meanwhile. */
  let seen: [keys: string, page: string];

  // Both at once: most of the time they wait. On the server with a longer period, whose bounds a busy machine keeps.
  beforeAll(async () => {
    temporary = await mkdtemp(join(tmpdir(), "heartbit-test-"));
    uri = newDatabase();
    const demo = (args: readonly string[]): Running =>
      start(["demo", ...args], { TMPDIR: temporary }, (end) => ends.push(end));
    const [first, second] = [demo([]), demo(["--json", "--store", uri, "--period", "3s"])];
    const [, url = ""] = await first.says("stderr", /See it at (\S+) /);
    await first.says("stderr", /reported: worker-8 is alive/);
    seen = [await (await fetch(`${url}api/keys`)).text(), await (await fetch(url)).text()];
    [embedded, server] = await Promise.all([first.ended, second.ended]);
  });

  afterAll(async () => {
    for (const end of ends) end();
    await rm(temporary, { recursive: true, force: true });
  });

  it("on an embedded store prints what happens on stderr, and a table on stdout that ends with ok", () => {
    const { code, stdout, stderr } = embedded;
    expect(stderr).toMatch(
      /^On a SQLite store in a temporary directory, with a period of 1 s\.\nSee it at http:/,
    );
    expect(stderr).toMatch(
      / s {2}worker-3 crashes: kill -9 \d+\n.* reported: worker-3 is dead \(expired\)\n/,
    );
    expect(stdout).toMatch(/^WHO +WHAT HAPPENED +AT +WHAT WAS REPORTED +AT +AFTER +PERIODS +EXPECTED\n/);
    const time = "\\d+\\.\\d\\d s";
    const row = `worker-1 +stop\\(\\) +${time} +dead, stopped +${time} +\\d+ ms +\\d\\.\\d\\d +1\\.5 to 2\\.5 periods +ok`;
    expect(stdout).toMatch(new RegExp(`\n${row}\n`));
    expect(stdout).toMatch(/\nok\n$/);
    expect(code).toBe(0);
  });

  it("on a MongoDB server, as an object, reports what happened and nothing about the workers that lived", () => {
    const { code, stdout, stderr } = server;
    const { rows, ok } = JSON.parse(stdout) as Report;
    expect(rows.filter((row) => !row.ok)).toEqual([]);
    expect({ code, ok, stderr }).toEqual({ code: 0, ok: true, stderr });
    expect(rows.map(({ who, told }) => [who, told])).toEqual([
      ["all eight", "alive, joined"],
      ["worker-1", "dead, stopped"],
      ["worker-2", "dead, killed"],
      ["worker-3", "dead, expired"],
      ["worker-4", null],
      ["worker-5", "dead, expired"],
      ["worker-5", "alive, joined"],
      ["worker-6", null],
      ["worker-7", null],
      ["worker-8", null],
    ]);
  });

  it("serves the dashboard meanwhile", () => {
    const { keys } = JSON.parse(seen[0]) as { keys: { key: string }[] };
    expect(keys.map(({ key }) => key)).toContain("worker-8");
    expect(seen[1].startsWith("<!doctype html>")).toBe(true);
  });

  it("leaves nothing in the directory or on the server", async () => {
    expect(await readdir(temporary)).toEqual([]);
    const client = new MongoClient(uri);
    const left = await client.db().listCollections().toArray();
    await client.close();
    expect(left).toEqual([]);
  });

  it("interrupted or killed leaves no worker behind, the paused one neither", async () => {
    const end = async (signal: NodeJS.Signals): Promise<Ended> => {
      const demo = start(["demo", "--period", "400ms"], { TMPDIR: temporary });
      const [, pid] = await demo.says("stderr", /worker-5 is paused: kill -STOP (\d+)/);
      demo.child.kill(signal);
      const ended = await demo.ended;
      await until(() => !isRunning(Number(pid)));
      return ended;
    };
    const [interrupted, killed] = await Promise.all([end("SIGINT"), end("SIGKILL")]);
    expect(interrupted).toMatchObject({ code: 130, signal: null, stdout: "" });
    expect(killed).toMatchObject({ code: null, signal: "SIGKILL", stdout: "" });
    expect(await readdir(temporary)).toHaveLength(1); // of the killed one, which could not
  });

  it("does not touch a namespace that is there already", async () => {
    const env = { HEARTBIT_STORE: `sqlite:${await newDirectory()}`, HEARTBIT_NAME: "mine" };
    await holding("a", env);
    const demo = await heartbit(["demo", "--store", env.HEARTBIT_STORE, "--name", "mine"]);
    expect(demo).toMatchObject({ code: 1, stdout: "" });
    expect(demo.stderr).toMatch(/^heartbit: There is a namespace "mine" already/);
    expect((await heartbit(["ls"], env)).stdout).toMatch(/^a /);
  });
});
