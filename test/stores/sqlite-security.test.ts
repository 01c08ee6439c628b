/** Who may use a store: its user alone, unless the umask says otherwise; and no file that somebody else has put there. */
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeEach, describe, expect, inject, it, onTestFinished } from "vitest";
import { openSqlite } from "../../src/stores/sqlite/index.ts";
import { failure, newFolder, openIn } from "./support.ts";

const isRoot = process.getuid?.() === 0;
const OTHER_USER = 12_345;

let parent: string;
let directory: string;
beforeEach(() => {
  parent = newFolder();
  directory = join(parent, "store");
  const umask = process.umask(0o022);
  onTestFinished(() => void process.umask(umask));
});

/** A store that was made and closed: its inner directory. */
async function madeStore(): Promise<string> {
  const store = await openSqlite(directory);
  await store.close();
  return dirname(store.path);
}

const modesOf = (paths: string[]): Set<string> =>
  new Set(paths.map((path) => (statSync(path).mode & 0o777).toString(8)));

describe.skipIf(process.platform === "win32")("the rights to a store", () => {
  it.each([
    [0o022, "700", "600"],
    [0o002, "770", "660"],
    [0o000, "777", "666"],
    [0o077, "700", "600"],
  ])(
    "are its user's alone, and shared where the umask lets others write: %o",
    async (mask, ofDirectories, ofFiles) => {
      process.umask(mask);
      const store = await openIn(directory);
      await store.namespace("n").nextSeq();
      const inner = dirname(store.path);
      const files = readdirSync(inner);
      expect(files.toSorted()).toEqual(["bell", "store.sqlite", "store.sqlite-shm", "store.sqlite-wal"]);
      expect(modesOf([directory, inner])).toEqual(new Set([ofDirectories]));
      expect(modesOf(files.map((name) => join(inner, name)))).toEqual(new Set([ofFiles]));
    },
  );

  it.each(["", "store.sqlite", "store.sqlite-wal", "store.sqlite-shm", "bell"])(
    "lead nowhere else: a link in place of the inner %j is refused, and what it leads to is left alone",
    async (name) => {
      const path = join(await madeStore(), name);
      const elsewhere = join(parent, "elsewhere");
      if (/-wal|-shm/.test(name)) writeFileSync(elsewhere, "somebody's");
      else renameSync(path, elsewhere);
      rmSync(path, { force: true }); // what lies beside the file may still be there, until memory is collected
      symlinkSync(elsewhere, path);
      const before = statSync(elsewhere).mtimeMs;
      expect(await failure(openSqlite(directory))).toMatchObject({
        code: "NOT_PERMITTED",
        message: expect.stringMatching(/symbolic link/),
      });
      expect(statSync(elsewhere).mtimeMs).toBe(before);
    },
  );

  it.runIf(isRoot)("are not another user's, in a directory that everybody may write to", async () => {
    chownSync(await madeStore(), OTHER_USER, OTHER_USER);
    await (await openSqlite(directory)).close();
    chmodSync(directory, 0o1777);
    expect(await failure(openSqlite(directory))).toMatchObject({
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
    const other = { uid: OTHER_USER, gid: OTHER_USER, cwd: "/", encoding: "utf8" } as const;
    const lines = execFileSync(process.execPath, ["-e", script], other).trim().split("\n");
    expect(lines).toHaveLength(3);
    for (const line of lines)
      expect(line).toMatch(/^NOT_PERMITTED \S+ may not be used by this user: EACCES.*\.$/);
  });
});
