/** A disk that is full, and has space again. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSqlite } from "../../src/stores/sqlite/index.ts";
import { answered, opened, passes, until } from "../support/wait.ts";
import { failure } from "./support.ts";

const PERIOD_MS = 400;

const disk = mkdtempSync(join(tmpdir(), "heartbit-disk-"));
/** A small file system that can be filled; that takes root. */
const isMounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=4m", "none", disk]).status === 0;

beforeAll(() => {
  process.once("exit", unmount);
});
afterAll(unmount);

function unmount(): void {
  if (isMounted) spawnSync("umount", ["--lazy", disk]);
  rmSync(disk, { recursive: true, force: true });
}

function fill(): void {
  spawnSync("sh", ["-c", `cat /dev/zero > "$0/filler"`, disk], { stdio: "ignore" });
}

function empty(): void {
  rmSync(join(disk, "filler"));
}

describe.skipIf(!isMounted)("a full disk", () => {
  it("is an outage: everybody is stale, nobody is reported dead, and all goes on when there is space again", async () => {
    const target = `sqlite:${join(disk, "a")}`;
    await using first = await opened(target, { periodMs: PERIOD_MS });
    await using second = await opened(target, { periodMs: PERIOD_MS });
    const changes: string[] = [];
    first.watcher().watch({ all: true }, ({ key, alive }) => void changes.push(`${key} ${alive}`));
    const pad = "x".repeat(10_000);
    const pingers = Array.from({ length: 20 }, (_, index) => second.pinger(`k${index}`, { meta: { pad } }));
    await Promise.all(pingers.map((pinger) => pinger.start()));
    await until(() => changes.length === pingers.length);
    await until(() => first.health.state === "healthy");
    fill();
    const updates = Promise.all(pingers.map((pinger, index) => pinger.update({ pad, index })));
    // The WAL has space of its own for a while.
    await until(() => first.health.state === "stale");
    await passes(4 * PERIOD_MS);
    empty();
    await updates;
    await until(() => first.health.state === "healthy" && second.health.state === "healthy");
    await passes(4 * PERIOD_MS);
    expect(changes.filter((change) => change.endsWith("false"))).toEqual([]);
    const { keys } = await answered(() => first.list());
    expect(keys.filter(({ alive }) => alive)).toHaveLength(pingers.length);
  });

  it("refuses to make a store, with the cause, and leaves nothing behind", async () => {
    fill();
    const directory = join(disk, "b");
    const message: unknown = expect.stringMatching(/disk|space/);
    expect(await failure(openSqlite(directory))).toMatchObject({ code: "STORE_UNAVAILABLE", message });
    empty();
    const store = await openSqlite(directory);
    expect(await store.namespace("n").nextSeq()).toBe(1);
    await store.close();
    expect(readdirSync(directory).join()).toMatch(/^heartbit-[^,]+$/);
  });
});
