// All entry points, as a program in CommonJS has them.
const { Presence, HeartbitError } = require("heartbit");
const { ManualClock, MemoryStore } = require("heartbit/testing");
const { dashboard } = require("heartbit/dashboard");
const { registerMetrics } = require("heartbit/metrics");
const { version } = require("heartbit/package.json");
const { Registry } = require("prom-client");

async function main() {
  const clock = new ManualClock();
  const presence = await Presence.open(new MemoryStore({ clock }), { clock });
  const registry = new Registry();
  registerMetrics(presence, registry);
  const { handler, close } = dashboard(presence);
  await presence.pinger("k").start();
  const { status } = await handler(new Request("http://localhost/healthz"));
  const isOneClass = presence instanceof (await import("heartbit")).Presence;
  const held = /heartbit_\w*held\w*\{[^}]*\} 1/.test(await registry.metrics());
  await close();
  await presence.close();
  const code = await presence.list().catch((error) => error instanceof HeartbitError && error.code);
  console.log(version, status, isOneClass, held, code);
}

void main();
