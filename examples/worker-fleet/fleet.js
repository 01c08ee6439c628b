// A fleet of workers, each a process, and a dispatcher that gives the jobs of the dead to others.
//
//     node worker-fleet/fleet.js
//
// Worker 2 crashes while it works. Nobody says so: the dispatcher is told 1.1 to 2.5 periods later.
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Presence } from "heartbit";
import { store } from "../store.js";

const WORKERS = [1, 2, 3];
const fleet = `fleet-${process.pid}/`; // the keys of this run
const presence = await Presence.open(store, { name: "fleet", periodMs: 1000 });

const queue = ["a", "b", "c", "d", "e", "f"];
const jobs = new Map(); // the job of each busy worker, by key
const idle = new Set(); // keys
const children = new Map(); // by key
let left = queue.length;

function dispatch() {
  for (const worker of idle) {
    const job = queue.shift();
    if (job === undefined) return;
    idle.delete(worker);
    jobs.set(worker, job);
    children.get(worker).send({ job });
  }
}

// A listener does no long work itself: it keeps the books, and sends.
presence.watcher().watch({ prefix: fleet }, ({ key, alive, cause, holders }) => {
  console.log(alive ? `${key} ${cause}: ${holders[0].meta.state}` : `${key} is dead (${cause})`);
  if (alive && !jobs.has(key)) idle.add(key);
  if (!alive) {
    idle.delete(key);
    if (jobs.has(key)) queue.unshift(jobs.get(key));
    jobs.delete(key);
  }
  dispatch();
});

function done(worker, job) {
  // One that was told dead and works on reports a job that is another's now. Here that is easy to see; in a database it
  // is what a fencing token is for.
  if (jobs.get(worker) !== job) return;
  jobs.delete(worker);
  idle.add(worker);
  console.log(`${worker} has done ${job}`);
  if (--left === 0) void end();
  else dispatch();
}

async function end() {
  for (const child of children.values()) child.kill("SIGTERM");
  await presence.close();
  console.log("all jobs are done");
}

for (const number of WORKERS) {
  const key = `${fleet}${number}`;
  const crashes = number === 2 ? "crash" : "";
  const child = fork(fileURLToPath(new URL("worker.js", import.meta.url)), [key, crashes]);
  children.set(key, child);
  child.on("message", ({ done: job }) => done(key, job));
}
