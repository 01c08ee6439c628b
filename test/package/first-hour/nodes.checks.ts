/** The package on each Node, with the packages of the stores and without. */
import { join } from "node:path";
import { blocksOf } from "../../docs/pages.ts";
import { Consumer } from "./consumer.ts";
import { nodeOf, NODES } from "./nodes.ts";
import { expectMatch, expectSame, manifest, STORES, type Tools } from "./tools.ts";

/** What `programs/store.mjs` prints. */
export const TOLD = `worker/7 true initial [{"queue":"mail"}]
listed 1 true
worker/7 false killed []
`;

/** The code of the README that runs to its end. TypeScript without types is JavaScript. */
const readme = blocksOf("README.md").filter(({ info }) => info === "ts");

export async function nodes({ report, tarball, newDatabase }: Tools): Promise<void> {
  await report.try("the least Node that it is tried on is the least that it allows", async () =>
    expectSame(manifest.engines.node, `>=${NODES[0]}`),
  );
  await using full = await Consumer.install({ tarball, packages: STORES });
  await using bare = await Consumer.install({ tarball, omitOptional: true });
  const inADatabase = (code: string): string => code.replaceAll(/mongodb:\/\/[^"]*/g, newDatabase());

  for (const version of NODES) {
    const node = await nodeOf(version);
    const it = (what: string, act: () => Promise<string | void>): Promise<void> =>
      report.try(`Node ${version}: ${what}`, act);

    await it("the code of the README runs as it stands there", async () => {
      const files = readme.map(({ code, line }) => [`readme-${line}.mjs`, inADatabase(code)] as const);
      if (files.length < 2) throw new Error("there is none");
      await full.write(Object.fromEntries(files));
      const program = join(process.cwd(), "test/docs/run-blocks.mjs");
      await full.must(node, [program, full.folder, ...files.map(([name]) => join(full.folder, name))]);
    });

    const stores = { memory: "memory:it", sqlite: `sqlite:${full.folder}/store-${version}` };
    for (const [kind, target] of Object.entries({ ...stores, mongodb: newDatabase() })) {
      await it(`a key is held, watched, listed and killed on ${kind}`, async () =>
        expectSame((await full.run(node, ["store.mjs", target])).output, TOLD));
    }

    await it("every entry point can be required, and is the same module", async () => {
      const { stdout, output } = await bare.run(node, ["required.cjs"]);
      expectSame(stdout, `${manifest.version} 200 true true PRESENCE_CLOSED\n`, output);
    });

    await it("a store whose package is missing says what to install, and memory needs none", async () => {
      const args = ["missing.mjs", "mongodb://localhost/app", "sqlite:store", "memory:it"];
      const [mongodb = "", sqlite = "", memory = ""] = (await bare.run(node, args)).output.split("\n");
      expectMatch(mongodb, /^UNSUPPORTED_SERVER: .* run `npm install mongodb`\.$/);
      // Node 20 has no SQLite of its own.
      const installs = /^UNSUPPORTED_SERVER: .* run `npm install @photostructure\/sqlite@1`.*\.$/;
      expectMatch(sqlite, version.startsWith("20.") ? installs : /^opened$/);
      expectSame(memory, "opened");
    });

    await it("the command runs: its help, and who is alive while it holds a key", async () => {
      const env = { HEARTBIT_STORE: `sqlite:${full.folder}/ls-${version}` };
      const help = await full.run("npx", ["heartbit", "--help"], env, node);
      expectMatch(help.stdout, /heartbit <command> \[options\]/);
      const ls = ["npx", "heartbit", "ls", "--json"];
      const { output } = await full.run("npx", ["heartbit", "run", "worker/7", "--", ...ls], env, node);
      expectMatch(output, /"key":"worker\/7"/);
    });
  }
}
