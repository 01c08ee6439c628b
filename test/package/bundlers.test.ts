/** What a bundler makes of a program has the page in it: nothing is looked for beside a file that is no longer there. */
import { execFile } from "node:child_process";
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { build } from "vite";
import { expect, inject, it, onTestFinished } from "vitest";
import { newDirectory } from "../cli/heartbit.ts";

const program = (built: string): string => `
import { Presence } from ${JSON.stringify(join(built, "index.js"))};
import { dashboard } from ${JSON.stringify(join(built, "dashboard", "index.js"))};
async function main() {
  const presence = await Presence.open(process.argv[2], { periodMs: 1000 });
  await presence.pinger("k").start();
  const { handler, close } = dashboard(presence, { basePath: "/ops/heartbit" });
  const ask = async (path) => (await handler(new Request("http://localhost/ops/heartbit" + path)));
  const html = await (await ask("")).text();
  const named = [...html.matchAll(/(?:src|href)="\\.\\/heartbit(\\/[^"]+)"/g)].map(([, path]) => path);
  const statuses = [];
  for (const path of ["", "/", ...named, "/api/keys"]) statuses.push((await ask(path)).status);
  console.log(JSON.stringify({ named: named.length, statuses }));
  await close();
  await presence.close();
}
main().catch((error) => { console.error(error); process.exit(1); });`;

it.each(["es", "cjs"] as const)(
  "a program in one file (%s) serves the page and the routes",
  async (format) => {
    const project = await newDirectory();
    await writeFile(join(project, "program.mjs"), program(inject("built")));
    const end = format === "es" ? "mjs" : "cjs";
    await build({
      root: project,
      configFile: false,
      logLevel: "silent",
      build: {
        ssr: join(project, "program.mjs"),
        outDir: join(project, "out"),
        rolldownOptions: {
          output: { format, entryFileNames: `bundle.${end}`, codeSplitting: false },
        },
      },
      ssr: { noExternal: true, external: ["mongodb", "@photostructure/sqlite"] },
    });
    // Not beside the package, and from where the packages that are not bundled can be found.
    const elsewhere = await mkdtemp(join(dirname(inject("built")), "bundle-"));
    onTestFinished(() => rm(elsewhere, { recursive: true }));
    await copyFile(join(project, "out", `bundle.${end}`), join(elsewhere, `bundle.${end}`));
    for (const store of ["memory:bundled", `sqlite:${join(project, "store")}`]) {
      const args = [join(elsewhere, `bundle.${end}`), store];
      const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: process.cwd() });
      const { named, statuses } = JSON.parse(stdout) as { named: number; statuses: number[] };
      expect(named).toBe(4);
      expect(statuses).toEqual(Array.from({ length: 7 }, () => 200));
    }
  },
);
