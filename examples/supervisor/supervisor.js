// Starts the programs that it is told to, and starts again those that died. What was stopped on purpose stays stopped.
//
//     node supervisor/supervisor.js web mail
//
// The programs do not depend on it: kill it, start it again, and it finds those that live.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Presence } from "heartbit";
import { store } from "../store.js";

/** A program that has not come up after so long is started again. */
const STARTING_MS = 10_000;

const names = process.argv.slice(2);
const presence = await Presence.open(store, { name: "programs", periodMs: 1000 });
const starting = new Map(); // the time at which each was started, until it is alive

function start(name, why) {
  if (Date.now() - (starting.get(name) ?? -Infinity) < STARTING_MS) return;
  starting.set(name, Date.now());
  console.log(`${name} is started: ${why}`);
  const program = fileURLToPath(new URL("program.js", import.meta.url));
  spawn(process.execPath, [program, name], { detached: true, stdio: "ignore" }).unref();
}

for (const name of names) {
  presence.watcher().watch(`program/${name}`, ({ alive, cause, holders }) => {
    if (alive) {
      starting.delete(name);
      console.log(`${name} is alive: ${holders.map(({ pid }) => pid).join(", ")}`);
      return;
    }
    console.log(`${name} is dead (${cause})`);
    if (cause === "expired") start(name, "it has crashed");
    // `initial` is no news of a death: right after an outage it may be too early to tell. `confirmed` says.
  });
}

let listing = await presence.list({ prefix: "program/" });
while (!listing.confirmed) {
  console.log("nobody has pinged lately: who lives cannot be told yet");
  await new Promise((resolve) => setTimeout(resolve, 1000));
  listing = await presence.list({ prefix: "program/" });
}
const living = new Set(listing.keys.filter(({ alive }) => alive).map(({ key }) => key));
for (const name of names) if (!living.has(`program/${name}`)) start(name, "it does not run");

process.once("SIGTERM", () => void presence.close());
process.once("SIGINT", () => void presence.close());
