/** Next.js: built and run, with the page mounted at a path. */
import { Consumer } from "./consumer.ts";
import { checkPage, checkRoutes, Serving } from "./servers.ts";
import { expectMatch, pinned, type Tools, versionsIn } from "./tools.ts";

const FILES = {
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

export async function nextJs({ report, tarball, newDatabase }: Tools): Promise<void> {
  await report.try("Next.js: built and run, with the page at /presence", async () => {
    const packages = ["next@16", "react@19", "react-dom@19", ...pinned("mongodb")];
    await using consumer = await Consumer.install({ tarball, packages });
    await consumer.write(FILES);
    const env = { NEXT_TELEMETRY_DISABLED: "1", HEARTBIT_STORE: newDatabase(), NODE_ENV: "production" };
    const program = "node_modules/next/dist/bin/next";
    await consumer.must(process.execPath, [program, "build"], env);
    await using server = new Serving(consumer, [program, "start", "--port", "0"], env);
    const url = await server.says(/http:\/\/localhost:\d+/);
    await server.says(/Ready/);
    expectMatch(await (await fetch(url)).text(), /web\/1/);
    const page = await checkPage(`${url}/presence`);
    await checkRoutes(`${url}/presence`, "web/1");
    return `${versionsIn(consumer, "next")}; ${page}`;
  });
}
