/** The package as each manager installs it, on each Node, on Bun and on Deno: with the packages of the stores, and without. */
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { blocksOf } from "../../docs/pages.ts";
import { newDatabase } from "../../servers/database.ts";
import { Consumer, manifest, pinned, STORES, TOLD } from "./consumer.ts";
import { commandOf, type Manager, managerOf, MANAGERS, nodeOf, NODES, RUNTIMES } from "./nodes.ts";

const full = await Consumer.install({ packages: STORES });
const bare = await Consumer.install({ omitOptional: true });

/** What the managers complain of themselves: the missing licence and description of the newcomer's program. */
const OWN = /No license field|No repository field|No description|newcomer|YN0092|Done with warnings/;

/** The code of the README that runs to its end. TypeScript without types is JavaScript. */
const readme = blocksOf("README.md").filter(({ info }) => info === "ts");

it.each(Object.keys(MANAGERS) as Manager[])(
  "%s installs it, and it runs with its stores and without",
  async (manager) => {
    const [command, ...args] = manager === "yarn-pnp" ? await managerOf(manager) : [process.execPath];
    const holds = async (consumer: Consumer, target: string): Promise<void> => {
      const node = manager === "yarn-pnp" ? [...args, "node"] : args;
      expect((await consumer.run(command, [...node, "store.mjs", target])).output).toBe(TOLD);
    };
    const without = await Consumer.install({ manager, omitOptional: true }, onTestFinished);
    const said = without.said.split("\n").filter((line) => !OWN.test(line));
    expect(said.filter((line) => /\b(?:warn|ignored build scripts|unmet)/i.test(line))).toEqual([]);
    await holds(without, "memory:it");
    const withStores = await Consumer.install({ manager, packages: STORES }, onTestFinished);
    await holds(withStores, `sqlite:${withStores.folder}/store`);
    await holds(withStores, newDatabase());
  },
);

it.each(["bun", "deno"] as const)("%s runs it in Node's place, on every store", async (name) => {
  const consumer = await Consumer.install({ packages: pinned("mongodb") }, onTestFinished);
  const [command, ...args] = await commandOf(RUNTIMES[name]);
  const run = [...args, ...{ bun: ["run"], deno: ["run", "--allow-all"] }[name], "store.mjs"];
  for (const target of ["memory:it", `sqlite:${consumer.folder}/store`, newDatabase()]) {
    expect((await consumer.must(command, [...run, target])).stdout).toBe(TOLD);
  }
});

it("the least Node that it is tried on is the least that it allows", () => {
  expect(manifest.engines.node).toBe(`>=${NODES[0]}`);
});

describe.each(NODES)("on Node %s", (version) => {
  it("the code of the README runs as it stands there", async () => {
    const names = readme.map(({ line }) => `readme-${line}.mjs`);
    expect(names.length).toBeGreaterThan(1);
    for (const [index, { code }] of readme.entries()) {
      await full.write({ [names[index]!]: code.replaceAll(/mongodb:\/\/[^"]*/g, newDatabase()) });
    }
    const program = join(process.cwd(), "test/docs/run-blocks.mjs");
    const modules = names.map((name) => join(full.folder, name));
    await full.must(await nodeOf(version), [program, full.folder, ...modules]);
  });

  it("a key is held, watched, listed and killed on every store", async () => {
    for (const target of ["memory:it", `sqlite:${full.folder}/store-${version}`, newDatabase()]) {
      expect((await full.run(await nodeOf(version), ["store.mjs", target])).output).toBe(TOLD);
    }
  });

  it("every entry point can be required, and is the same module", async () => {
    const { stdout } = await bare.must(await nodeOf(version), ["required.cjs"]);
    expect(stdout).toBe(`${manifest.version} 200 true true PRESENCE_CLOSED\n`);
  });

  it("a store whose package is missing says what to install, and memory needs none", async () => {
    const args = ["missing.mjs", "mongodb://localhost/app", "sqlite:store", "memory:it"];
    const { output } = await bare.run(await nodeOf(version), args);
    const [mongodb, sqlite, memory] = output.split("\n");
    expect(mongodb).toMatch(/^UNSUPPORTED_SERVER: .* run `npm install mongodb`\.$/);
    // Node 20 has no SQLite of its own.
    const installs = /^UNSUPPORTED_SERVER: .* run `npm install @photostructure\/sqlite@1`.*\.$/;
    expect(sqlite).toMatch(version.startsWith("20.") ? installs : /^opened$/);
    expect(memory).toBe("opened");
  });

  it("the command runs: its help, and who is alive while it holds a key", async () => {
    const node = await nodeOf(version);
    const how = { env: { HEARTBIT_STORE: `sqlite:${full.folder}/ls-${version}` }, node };
    expect((await full.run("npx", ["heartbit", "--help"], how)).stdout).toMatch(
      /heartbit <command> \[options\]/,
    );
    const ls = ["npx", "heartbit", "ls", "--json"];
    const { output } = await full.run("npx", ["heartbit", "run", "worker/7", "--", ...ls], how);
    expect(output).toMatch(/"key":"worker\/7"/);
  });
});
