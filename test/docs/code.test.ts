/**
 * The code in the documentation. Every block of `ts` and `js` is typechecked, strictly, against the types of the built
 * package, and is run, on the test server if it opens a database. `ts check` is not run: it waits for something from
 * outside. A comment `// => text` is a line that the block must print. Code for mongosh is tested in
 * test/security/roles.test.ts.
 *
 * A block may use `presence` and `handler` without declaring them.
 */
import { execFile } from "node:child_process";
import { cp, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { newDatabase } from "../servers/database.ts";
import { type Block, blocksOf, pages } from "./pages.ts";

const root = process.cwd();
// Within node_modules, so that what the blocks import besides heartbit is found from there.
const work = join(root, "node_modules/.cache", `heartbit-docs-${process.pid}`);
const run = promisify(execFile);

const AMBIENT = `
import type { Presence } from "heartbit";
declare global {
  const presence: Presence;
  const handler: (request: Request) => Promise<Response>;
}
`;

/** As strict as this repository, except that a block may leave names unused. */
const TSCONFIG = {
  extends: join(root, "tsconfig.json"),
  compilerOptions: { noEmit: false, outDir: "out", noUnusedLocals: false, noUnusedParameters: false },
  include: ["*.ts"],
};

const blocks = pages
  .flatMap(blocksOf)
  .filter(({ info, before }) => /^(ts|js)\b/.test(info) && !before.startsWith("<!-- role:"));

const nameOf = ({ page, line }: Block): string => `${page.replace(/[^A-Za-z0-9]/g, "_")}_${line}`;
const isRun = ({ info }: Block): boolean => !info.endsWith(" check");

/** The block as a module of its own, in a database of its own. */
function moduleOf({ code }: Block): string {
  const here = code
    .replaceAll(/mongodb:\/\/[^"]*/g, newDatabase())
    .replace(/\.listen\(\d+/g, ".listen(0")
    .replaceAll("sqlite:/var/lib/app/presence", `sqlite:${join(work, "store")}`);
  return `${here}\nexport {};\n`;
}

beforeAll(async () => {
  await mkdir(join(work, "node_modules/heartbit"), { recursive: true });
  await cp(join(root, "package.json"), join(work, "node_modules/heartbit/package.json"));
  await symlink(inject("built"), join(work, "node_modules/heartbit/dist"));
  await writeFile(join(work, "package.json"), '{ "type": "module" }\n');
  await writeFile(join(work, "tsconfig.json"), JSON.stringify(TSCONFIG));
  await writeFile(join(work, "ambient.d.ts"), AMBIENT);
  for (const block of blocks) await writeFile(join(work, `${nameOf(block)}.ts`), moduleOf(block));
});
afterAll(() => rm(work, { recursive: true, force: true }));

/** The output of a failed command; nothing if it succeeds. */
async function complaintsOf(...args: string[]): Promise<string> {
  return run(process.execPath, args, { cwd: work }).then(
    () => "",
    ({ stdout, stderr }: { stdout: string; stderr: string }) => `${stdout}\n${stderr}`,
  );
}

describe("the code in the documentation", () => {
  it("is there", () => {
    expect(blocks.length).toBeGreaterThan(20);
  });

  it("typechecks, runs to its end, and prints what its comments say", async () => {
    expect(await complaintsOf(join(root, "node_modules/typescript/bin/tsc"), "-p", ".")).toBe("");
    const modules = blocks.filter(isRun).map((block) => join(work, "out", `${nameOf(block)}.js`));
    expect(await complaintsOf(join(root, "test/docs/run-blocks.mjs"), work, ...modules)).toBe("");
  });
});
