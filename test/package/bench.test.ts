/** The benchmarks have packages of their own, so `npm run typecheck` leaves them out. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";

const IMPORT = /import \{([^}]*)\} from "((?:\.\.\/)+(?:src|test)\/[^"]+)"/g;

it("the benchmarks import nothing from the library that it does not export", async () => {
  const files = readdirSync("bench", { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !/^(node_modules|dist)/.test(name))
    .map((name) => join("bench", name));
  const missing: string[] = [];
  for (const file of files) {
    for (const [, names = "", path = ""] of readFileSync(file, "utf8").matchAll(IMPORT)) {
      const exported = (await import(join(process.cwd(), dirname(file), path))) as object;
      const values = names.split(",").map((name) => name.trim().replace(/ as .*/, ""));
      for (const name of values)
        if (name !== "" && !name.startsWith("type ") && !(name in exported)) missing.push(`${file}: ${name}`);
    }
  }
  expect(files.length).toBeGreaterThan(20);
  expect(missing).toEqual([]);
});
