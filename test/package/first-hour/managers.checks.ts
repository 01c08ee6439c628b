/** The package as each package manager installs it, without the packages of the stores and with them. */
import { Consumer } from "./consumer.ts";
import { managerOf, MANAGERS, type Manager } from "./nodes.ts";
import { TOLD } from "./nodes.checks.ts";
import { expectSame, STORES, type Tools } from "./tools.ts";

export async function managers({ report, tarball, newDatabase }: Tools): Promise<void> {
  for (const manager of Object.keys(MANAGERS) as Manager[]) {
    const version = MANAGERS[manager]?.version ?? "";
    await report.try(`${manager} ${version}: it installs and runs, with its stores and without`, async () => {
      await using bare = await Consumer.install({ tarball, manager, omitOptional: true });
      const complaint = /.*\b(?:warn|ignored build scripts|unmet).*/i.exec(withoutOwn(bare.said))?.[0];
      if (complaint !== undefined) throw new Error(`it prints: ${complaint}`);
      await holds(bare, manager, "memory:it");
      await using full = await Consumer.install({ tarball, manager, packages: STORES });
      await holds(full, manager, `sqlite:${full.folder}/store`);
      await holds(full, manager, newDatabase());
    });
  }
}

/** Without what the managers complain of themselves: the missing licence and description of the newcomer's program. */
function withoutOwn(said: string): string {
  const own = /No license field|No repository field|No description|newcomer|YN0092|Done with warnings/;
  const lines = said.split("\n").filter((line) => !own.test(line));
  return lines.join("\n");
}

async function holds(consumer: Consumer, manager: Manager, target: string): Promise<void> {
  const [command, ...args] = manager === "yarn-pnp" ? await managerOf(manager) : [process.execPath];
  const node = manager === "yarn-pnp" ? [...args, "node"] : args;
  const { output } = await consumer.run(command ?? "", [...node, "store.mjs", target]);
  expectSame(output, TOLD);
}
