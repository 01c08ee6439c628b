// Holds a key, and watches it until it is killed: on the store of the command line.
import { Presence } from "heartbit";

const [target] = process.argv.slice(2);
const holder = await Presence.open(target, { periodMs: 1000 });
const watching = await Presence.open(target, { periodMs: 1000 });
const pinger = holder.pinger("worker/7", { meta: { queue: "mail" } });
await pinger.start();
for await (const { key, alive, cause, holders } of watching.watcher().changes({ prefix: "worker/" })) {
  console.log(key, alive, cause, JSON.stringify(holders.map(({ meta }) => meta)));
  if (!alive) break;
  const { keys, confirmed } = await watching.list();
  console.log("listed", keys.length, confirmed);
  await pinger.kill();
}
await holder.close();
await watching.close();
