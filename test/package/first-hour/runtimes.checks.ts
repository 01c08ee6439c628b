/** Bun and Deno in Node's place. */
import { Consumer } from "./consumer.ts";
import { commandOf, RUNTIMES } from "./nodes.ts";
import { TOLD } from "./nodes.checks.ts";
import { expectSame, pinned, type Tools } from "./tools.ts";

export async function runtimes({ report, tarball, newDatabase }: Tools): Promise<void> {
  await using consumer = await Consumer.install({ tarball, packages: pinned("mongodb") });
  const run = { bun: ["run"], deno: ["run", "--allow-all"] };
  for (const [name, program] of Object.entries(RUNTIMES) as ["bun" | "deno", typeof RUNTIMES.bun][]) {
    const targets = {
      memory: "memory:it",
      sqlite: `sqlite:${consumer.folder}/${name}`,
      mongodb: newDatabase(),
    };
    for (const [store, target] of Object.entries(targets)) {
      const what = `${name} ${program.version}: a key is held, watched, listed and killed on ${store}`;
      await report.try(what, async () => {
        const [command, ...args] = await commandOf(program);
        const { stdout, output } = await consumer.run(command, [...args, ...run[name], "store.mjs", target]);
        expectSame(stdout, TOLD, output);
      });
    }
  }
}
