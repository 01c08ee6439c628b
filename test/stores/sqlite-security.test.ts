/** Who may use a store: its user alone, unless the umask says otherwise; and no file that somebody else has put there. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { openSqlite } from "../../src/stores/sqlite/index.ts";

const isRoot = process.getuid?.() === 0;
const OTHER_USER = 12_345;

let parent: string;
let directory: string;
let umask: number;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "heartbit-security-"));
  directory = join(parent, "store");
  umask = process.umask(0o022);
});
afterEach(() => {
  process.umask(umask);
  rmSync(parent, { recursive: true, force: true });
});

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);

/** The modes of the directory, the inner one, and all files. */
async function modesOf(): Promise<string[][]> {
  const store = await openSqlite(directory);
  await store.namespace("n").nextSeq();
  const inner = dirname(store.path);
  const files = readdirSync(inner);
  expect(files.toSorted()).toEqual(["bell", "store.sqlite", "store.sqlite-shm", "store.sqlite-wal"]);
  const modes = [[directory, inner].map(modeOf), files.map((name) => modeOf(join(inner, name)))];
  await store.close();
  return modes;
}

/** A store that was made and closed: its inner directory. */
async function madeStore(): Promise<string> {
  const store = await openSqlite(directory);
  await store.close();
  return dirname(store.path);
}

describe.skipIf(process.platform === "win32")("the rights to a store", () => {
  it("are its user's alone", async () => {
    expect(await modesOf()).toEqual([
      ["700", "700"],
      ["600", "600", "600", "600"],
    ]);
  });

  it.each([
    [0o002, "770", "660"],
    [0o000, "777", "666"],
    [0o077, "700", "600"],
  ])("are shared where the umask lets others write: %o", async (mask, directories, files) => {
    process.umask(mask);
    expect(await modesOf()).toEqual([
      [directories, directories],
      [files, files, files, files],
    ]);
  });

  it.each(["", "store.sqlite", "store.sqlite-wal", "store.sqlite-shm", "bell"])(
    "lead nowhere else: a link in place of the inner %j is refused, and what it leads to is left alone",
    async (name) => {
      const inner = await madeStore();
      const path = join(inner, name);
      const elsewhere = join(parent, "elsewhere");
      if (name === "" || name === "store.sqlite" || name === "bell") renameSync(path, elsewhere);
      else writeFileSync(elsewhere, "somebody's");
      rmSync(path, { force: true }); // what lies beside the file may still be there, until memory is collected
      symlinkSync(elsewhere, path);
      const before = statSync(elsewhere).mtimeMs;
      await expect(openSqlite(directory)).rejects.toMatchObject({
        code: "NOT_PERMITTED",
        message: expect.stringMatching(/symbolic link/),
      });
      expect(statSync(elsewhere).mtimeMs).toBe(before);
    },
  );

  it.runIf(isRoot)("are not another user's, in a directory that everybody may write to", async () => {
    const inner = await madeStore();
    chownSync(inner, OTHER_USER, OTHER_USER);
    await (await openSqlite(directory)).close();
    chmodSync(directory, 0o1777);
    await expect(openSqlite(directory)).rejects.toMatchObject({
      code: "NOT_PERMITTED",
      message: expect.stringContaining(`belongs to user ${OTHER_USER}`),
    });
  });

  it.runIf(isRoot)("that are missing are NOT_PERMITTED, with the true cause", async () => {
    await madeStore();
    chmodSync(parent, 0o755);
    chmodSync(directory, 0o777);
    const closed = join(parent, "closed");
    mkdirSync(closed, { mode: 0o700 });
    const script = `import(${JSON.stringify(pathToFileURL(join(inject("built"), "stores/sqlite/index.js")).href)})
      .then(async ({ openSqlite }) => {
        for (const path of ${JSON.stringify([directory, closed, join(closed, "below")])})
          await openSqlite(path).catch(({ code, message }) => console.log(code, message));
      })`;
    const output = execFileSync(process.execPath, ["-e", script], {
      encoding: "utf8",
      uid: OTHER_USER,
      gid: OTHER_USER,
      cwd: "/",
    });
    const lines = output.trim().split("\n");
    expect(lines).toHaveLength(3);
    for (const line of lines)
      expect(line).toMatch(/^NOT_PERMITTED \S+ may not be used by this user: EACCES.*\.$/);
  });
});
