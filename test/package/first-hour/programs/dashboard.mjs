// The dashboard at a path, asked for the page, for what the page names, and for the keys.
import { Presence } from "heartbit";
import { dashboard } from "heartbit/dashboard";

async function main() {
  const presence = await Presence.open(process.argv[2], { periodMs: 1000 });
  await presence.pinger("k").start();
  const { handler, close } = dashboard(presence, { basePath: "/ops/heartbit" });
  const ask = (path) => handler(new Request(`http://localhost/ops/heartbit${path}`));
  const html = await (await ask("")).text();
  const named = [...html.matchAll(/(?:src|href)="\.\/heartbit(\/[^"]+)"/g)].map(([, path]) => path);
  const statuses = [];
  for (const path of [...named, "", "/", "/api/keys"]) statuses.push((await ask(path)).status);
  const [keys, slash, page] = statuses.splice(-3).toReversed();
  console.log(`${named.length} files: ${statuses.join(" ")}; page ${page}, page/ ${slash}, keys ${keys}`);
  await close();
  await presence.close();
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
