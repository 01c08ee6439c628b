/** The dashboard in servers of others: the examples, as they stand in `examples/dashboard`. */
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { Consumer } from "./consumer.ts";
import { checkPage, checkRoutes, Serving } from "./servers.ts";
import { pinned, type Tools, versionsIn } from "./tools.ts";

export async function frameworks({ report, tarball }: Tools): Promise<void> {
  const servers = ["express@5", "fastify@5", "hono@4", "@hono/node-server@2"];
  const packages = [...servers, ...pinned("@photostructure/sqlite")];
  await using consumer = await Consumer.install({ tarball, packages });
  const examples = join(process.cwd(), "examples");
  await cp(join(examples, "store.js"), join(consumer.folder, "store.js"));
  await cp(join(examples, "dashboard"), join(consumer.folder, "dashboard"), { recursive: true });
  await cp(join(examples, "package.json"), join(consumer.folder, "dashboard/package.json"));
  await consumer.write({ "package.json": '{ "name": "newcomer", "type": "module" }\n' });
  for (const name of ["express", "fastify", "hono"]) {
    await report.try(`${name}: the page and its routes, mounted at /presence`, async () => {
      const env = { HEARTBIT_STORE: `sqlite:${consumer.folder}/${name}` };
      await using server = new Serving(consumer, [`dashboard/${name}.js`, "0"], env);
      const url = (await server.says(/http:\S+/)).replace(/\/$/, "");
      const page = await checkPage(url);
      await checkRoutes(url, "server/");
      return `${versionsIn(consumer, name)}; ${page}`;
    });
  }
}
