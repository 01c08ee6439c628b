/** The package in programs of others: by each package manager, on each Node, with the packages of the stores and without. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { blocksOf } from "../../docs/pages.ts";
import { newDatabase } from "../../servers/database.ts";
import { pack, type Tarball } from "../pack.ts";
import { Consumer } from "./consumer.ts";
import { MANAGERS, type Manager, nodeOf, NODES } from "./nodes.ts";

interface Manifest {
  readonly version: string;
  readonly engines: { readonly node: string };
  readonly devDependencies: Record<string, string>;
}

const manifest = JSON.parse(readFileSync("package.json", "utf8")) as Manifest;
const packages = ["mongodb", "@photostructure/sqlite"].map(
  (name) => `${name}@${manifest.devDependencies[name]}`,
);

/** The code of the README that runs to its end. TypeScript without types is JavaScript. */
const readme = blocksOf("README.md").filter(({ info }) => info === "ts");
const inADatabase = (code: string): string => code.replaceAll(/mongodb:\/\/[^"]*/g, newDatabase());

const TOLD = [
  'worker/7 true initial [{"queue":"mail"}]',
  "listed 1 true",
  "worker/7 false killed []",
  "",
].join("\n");

let tarball: Tarball;
/** With all that the stores need, and with nothing of it. */
let full: Consumer;
let bare: Consumer;

beforeAll(async () => {
  tarball = await pack(inject("built"));
  full = await Consumer.install({ tarball, packages });
  bare = await Consumer.install({ tarball, omitOptional: true });
});
afterAll(async () => {
  await full[Symbol.asyncDispose]();
  await bare[Symbol.asyncDispose]();
  await tarball[Symbol.asyncDispose]();
});

it("the least Node that it is tried on is the least that it allows", () => {
  expect(manifest.engines.node).toBe(`>=${NODES[0]}`);
});

describe.each(NODES)("on Node %s", (version) => {
  let node: string;
  beforeAll(async () => {
    node = await nodeOf(version);
    expect((await full.run(node, ["--version"])).stdout).toBe(`v${version}\n`);
  });

  it("the code of the README runs as it stands there", async () => {
    expect(readme.length).toBeGreaterThan(1);
    const files = readme.map(({ code, line }) => [`readme-${line}.mjs`, inADatabase(code)] as const);
    await full.write(Object.fromEntries(files));
    const program = join(process.cwd(), "test/docs/run-blocks.mjs");
    const modules = files.map(([name]) => join(full.folder, name));
    expect(await full.run(node, [program, full.folder, ...modules])).toMatchObject({ status: 0 });
  });

  it.each(["memory", "sqlite", "mongodb"])(
    "a key is held, watched, listed and killed on %s",
    async (kind) => {
      const target = {
        memory: "memory:it",
        sqlite: `sqlite:${full.folder}/store-${version}`,
        mongodb: newDatabase(),
      }[kind];
      const { output, stdout } = await full.run(node, ["store.mjs", target ?? ""]);
      expect({ output, stdout }).toEqual({ output: TOLD, stdout: TOLD });
    },
  );

  it("every entry point can be required, without the packages of the stores, and is the same module", async () => {
    const { stdout, output } = await bare.run(node, ["required.cjs"]);
    expect(stdout, output).toBe(`${manifest.version} 200 true true PRESENCE_CLOSED\n`);
  });

  it("a store whose package is missing says what to install, and memory needs none", async () => {
    const { output } = await bare.run(node, [
      "missing.mjs",
      "mongodb://localhost/app",
      "sqlite:store",
      "memory:it",
    ]);
    expect(output.split("\n")).toEqual([
      expect.stringMatching(/^UNSUPPORTED_SERVER: .* run `npm install mongodb`\.$/),
      // Node 20 has no SQLite of its own.
      version.startsWith("20.")
        ? expect.stringMatching(/^UNSUPPORTED_SERVER: .* run `npm install @photostructure\/sqlite@1`.*\.$/)
        : "opened",
      "opened",
      "",
    ]);
  });

  it("the command runs: its help, and who is alive while it holds a key", async () => {
    const env = { HEARTBIT_STORE: `sqlite:${full.folder}/ls-${version}` };
    expect((await full.run("npx", ["heartbit", "--help"], env, node)).stdout).toContain(
      "heartbit <command> [options]",
    );
    const ls = ["npx", "heartbit", "ls", "--json"];
    const { stdout, output } = await full.run("npx", ["heartbit", "run", "worker/7", "--", ...ls], env, node);
    expect(stdout, output).toContain('"key":"worker/7"');
  });
});

describe.each(Object.keys(MANAGERS) as Manager[])("installed by %s", (manager) => {
  it("it runs, without the packages of the stores and with them", async () => {
    await using without = await Consumer.install({ tarball, manager, omitOptional: true });
    expect((await without.run(process.execPath, ["store.mjs", "memory:it"])).output).toBe(TOLD);
    await using withAll = await Consumer.install({ tarball, manager, packages });
    for (const target of [`sqlite:${withAll.folder}/store`, newDatabase()]) {
      expect((await withAll.run(process.execPath, ["store.mjs", target])).output).toBe(TOLD);
    }
  });
});
