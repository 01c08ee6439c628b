/** What a bundler makes of a program has the page in it: nothing is looked for beside a file that is no longer there. */
import { execFile } from "node:child_process";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { build } from "vite";
import { expect, inject, it, onTestFinished } from "vitest";
import { newDirectory } from "../cli/heartbit.ts";

it.each(["es", "cjs"] as const)(
  "a program in one file (%s) serves the page and the routes",
  async (format) => {
    const project = await newDirectory();
    const file = `bundle.${format === "es" ? "mjs" : "cjs"}`;
    const built = inject("built");
    await build({
      root: project,
      configFile: false,
      logLevel: "silent",
      build: {
        ssr: join(process.cwd(), "test/package/first-hour/programs/dashboard.mjs"),
        outDir: join(project, "out"),
        rolldownOptions: { output: { format, entryFileNames: file, codeSplitting: false } },
      },
      resolve: {
        alias: [
          { find: /^heartbit$/, replacement: join(built, "index.js") },
          { find: /^heartbit\/dashboard$/, replacement: join(built, "dashboard/index.js") },
        ],
      },
      ssr: { noExternal: true, external: ["mongodb", "@photostructure/sqlite"] },
    });
    // Not beside the package, and from where the packages that are not bundled can be found.
    const elsewhere = await mkdtemp(join(dirname(built), "bundle-"));
    onTestFinished(() => rm(elsewhere, { recursive: true }));
    await copyFile(join(project, "out", file), join(elsewhere, file));
    for (const store of ["memory:bundled", `sqlite:${join(project, "store")}`]) {
      const { stdout } = await promisify(execFile)(process.execPath, [join(elsewhere, file), store]);
      expect(stdout).toBe("4 files: 200 200 200 200; page 200, page/ 200, keys 200\n");
    }
  },
);
