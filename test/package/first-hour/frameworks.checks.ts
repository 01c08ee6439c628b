/** The dashboard in NestJS and Next.js. That in Express, Fastify and Hono is tested with the examples. */
import { cp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { newDatabase } from "../../servers/database.ts";
import { checkDashboard, Consumer, pinned } from "./consumer.ts";

const NEXT = {
  "app/layout.js": `
export default function Layout({ children }) {
  return <html><body>{children}</body></html>;
}
`,
  "app/page.js": `
import { presence } from "../presence.js";
export const dynamic = "force-dynamic";
export default async function Page() {
  const { keys } = await (await presence()).list();
  return <p>{keys.map(({ key }) => key).join(" ")}</p>;
}
`,
  // One for the process: Next.js bundles each route by itself.
  "presence.js": `
import { Presence } from "heartbit";
async function open() {
  const presence = await Presence.open(process.env.HEARTBIT_STORE, { periodMs: 1000 });
  await presence.pinger("web/1").start();
  return presence;
}
export const presence = () => (globalThis.presence ??= open());
`,
  "app/presence/[[...path]]/route.js": `
import { dashboard } from "heartbit/dashboard";
import { presence } from "../../../presence.js";
export const dynamic = "force-dynamic";
let handler;
const answer = async (request) => {
  handler ??= dashboard(await presence(), { basePath: "/presence" }).handler;
  return handler(request);
};
export { answer as GET, answer as PUT, answer as POST, answer as DELETE };
`,
};

it("Next.js: built and run, with the page at /presence", async (test) => {
  const packages = ["next@16", "react@19", "react-dom@19", ...pinned("mongodb")];
  const consumer = await Consumer.install({ packages }, onTestFinished);
  await consumer.write(NEXT);
  const env = {
    NEXT_TELEMETRY_DISABLED: "1",
    HEARTBIT_STORE: newDatabase(),
    NODE_ENV: "production",
  } as const;
  const program = "node_modules/next/dist/bin/next";
  await consumer.must(process.execPath, [program, "build"], { env });
  const server = consumer.start([program, "start", "--port", "0"], env);
  const [url] = await server.says("stdout", /http:\/\/localhost:\d+/);
  await server.says("stdout", /Ready/);
  expect(await (await fetch(url)).text()).toContain("web/1");
  await checkDashboard(`${url}/presence`, "web/1");
  await consumer.note(test, "next");
});

describe("examples/nest", async () => {
  const example = join(process.cwd(), "examples/nest");
  const manifest = JSON.parse(await readFile(join(example, "package.json"), "utf8")) as Record<
    "dependencies" | "devDependencies",
    Record<string, string>
  >;
  const packages = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })
    .filter(([name]) => name !== "heartbit")
    .map(([name, range]) => `${name}@${range}`);
  const consumer = await Consumer.install({ packages });
  for (const file of ["main.ts", "presence.module.ts", "tsconfig.json"]) {
    await cp(join(example, file), join(consumer.folder, file));
  }

  it.each(["commonjs", "node16", "nodenext"])(
    "module %s: the page, the health by terminus, and a clean shutdown with a stream open",
    async (module) => {
      const out = `out-${module}`;
      await consumer.must("node_modules/.bin/tsc", ["-p", ".", "--module", module, "--outDir", out]);
      const server = consumer.start([`${out}/main.js`, "0"], { HEARTBIT_STORE: "memory:nest" });
      const [, url = ""] = await server.says("stdout", /(http:\S+)\/presence\/\n/);
      await checkDashboard(`${url}/presence`, "server/");
      expect(await (await fetch(`${url}/health`)).text()).toContain('"presence":{"status":"up"}');
      const stream = await fetch(`${url}/presence/api/changes`);
      server.child.kill("SIGTERM");
      await stream.text();
      const { code, signal } = await server.ended;
      expect([0, "SIGTERM"]).toContain(code ?? signal); // Nest ends itself by the signal
    },
  );
});
