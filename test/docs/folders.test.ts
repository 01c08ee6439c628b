/** The linter keeps the rules of the folders that ARCHITECTURE.md lists. */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";

/** An import that the rule of each folder forbids. */
const FORBIDDEN = {
  "src/core": "../lib/turn.ts",
  "src/lib": "../core/roster.ts",
  "src/presence": "../cli/text.ts",
  "src/presence/context": "../holding/session.ts",
  "src/presence/holding": "../watching/snapshot.ts",
  "src/presence/watching": "../slot-loop.ts",
  "src/stores": "../presence/presence.ts",
  "src/stores/mongo": "../memory.ts",
  "src/stores/sqlite": "../mongo/index.ts",
  "src/dashboard": "../stores/memory.ts",
  "src/metrics": "../stores/memory.ts",
  "src/testing": "../presence/presence.ts",
  "src/cli": "mongodb",
  "dashboard/src": "../../src/stores/memory.ts",
};

it("refuses an import that leads out of a folder", async () => {
  const root = mkdtempSync(join(tmpdir(), "heartbit-folders-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  cpSync(".oxlintrc.json", join(root, ".oxlintrc.json"));
  for (const [folder, name] of Object.entries(FORBIDDEN)) {
    mkdirSync(join(root, folder), { recursive: true });
    writeFileSync(join(root, folder, "a.ts"), `export { a } from "${name}";\n`);
  }
  const said = await new Promise<string>((resolve) => {
    const args = [join(process.cwd(), "node_modules/oxlint/bin/oxlint"), "--format=unix"];
    execFile(process.execPath, args, { cwd: root }, (_error, stdout) => resolve(stdout));
  });
  const isRefused = (folder: string): boolean => new RegExp(`^${folder}/a\\.ts:.*restricted`, "m").test(said);
  expect(Object.keys(FORBIDDEN).filter((folder) => !isRefused(folder))).toEqual([]);
});
