/** The NestJS application in `examples/nest`, as each kind of module. */
import { cp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Consumer } from "./consumer.ts";
import { checkPage, checkRoutes, Serving } from "./servers.ts";
import { expectMatch, type Tools, versionsIn } from "./tools.ts";

const example = join(process.cwd(), "examples/nest");

export async function nest({ report, tarball }: Tools): Promise<void> {
  const { dependencies, devDependencies } = JSON.parse(
    await readFile(join(example, "package.json"), "utf8"),
  ) as Record<"dependencies" | "devDependencies", Record<string, string>>;
  const packages = Object.entries({ ...dependencies, ...devDependencies })
    .filter(([name]) => name !== "heartbit")
    .map(([name, range]) => `${name}@${range}`);
  await using consumer = await Consumer.install({ tarball, packages });
  for (const file of ["main.ts", "presence.module.ts", "tsconfig.json"]) {
    await cp(join(example, file), join(consumer.folder, file));
  }
  for (const module of ["commonjs", "node16", "nodenext"]) {
    const what = `NestJS, module ${module}: the page, the health by terminus, and a clean shutdown`;
    await report.try(what, async () => {
      const out = `out-${module}`;
      await consumer.must("node_modules/.bin/tsc", ["-p", ".", "--module", module, "--outDir", out]);
      const env = { HEARTBIT_STORE: "memory:nest" };
      await using server = new Serving(consumer, [`${out}/main.js`, "0"], env);
      const url = (await server.says(/http:\S+/)).replace(/\/presence\/$/, "");
      const page = await checkPage(`${url}/presence`);
      await checkRoutes(`${url}/presence`, "server/");
      expectMatch(await (await fetch(`${url}/health`)).text(), /"presence":\{"status":"up"\}/);
      // A stream is open while it is asked to end.
      const stream = await fetch(`${url}/presence/api/changes`);
      server.ask("SIGTERM");
      await stream.text();
      expectMatch(await server.ended, /^(0|SIGTERM)$/); // Nest ends itself by the signal
      return `${versionsIn(consumer, "@nestjs/core", "@nestjs/terminus", "typescript")}; ${page}`;
    });
  }
}
