// A worker: holds its key, says in its meta what it does, and does the jobs that it is sent.
import { setTimeout as wait } from "node:timers/promises";
import { Presence } from "heartbit";
import { store } from "../store.js";

const [key, crashes] = process.argv.slice(2);
const presence = await Presence.open(store, { name: "fleet", periodMs: 1000 });
const pinger = presence.pinger(key, { meta: { state: "idle" } });

process.on("message", async ({ job }) => {
  await pinger.update({ state: `working on ${job}` });
  if (crashes) process.kill(process.pid, "SIGKILL");
  await wait(200);
  process.send({ done: job });
  await pinger.update({ state: "idle" });
});

process.once("SIGTERM", async () => {
  await presence.close(); // told at once
  process.exit();
});

await pinger.start(); // from now on jobs may come
