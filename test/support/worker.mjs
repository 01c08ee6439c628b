// A process that holds keys, for tests: node worker.mjs BUILT TARGET OPTIONS KEY...
// It tells its parent what happens, and does what it is told: "stop", "kill", "close"; asked "vouched", it tells until when
// it is vouched for.
const [built, target, options, ...keys] = process.argv.slice(2);
const { Presence } = await import(`${built}/index.js`);

const presence = await open();
presence.on("lapse", () => process.send({ event: "lapse" }));
const pingers = keys.map((key) => presence.pinger(key, { meta: { pid: process.pid } }));
for (const pinger of pingers) pinger.on("killed", () => process.send({ event: "killed" }));
await Promise.all(pingers.map((pinger) => pinger.start()));
process.on("message", async (what) => {
  if (what === "vouched") {
    process.send({ event: what, until: presence.vouchedUntil.getTime() });
    return;
  }
  if (what === "close") await presence.close();
  else await Promise.all(pingers.map((pinger) => pinger[what]()));
  process.send({ event: what });
  if (what === "close") process.disconnect();
});
process.on("disconnect", () => process.exit());
process.send({ event: "started", session: presence.session });

/** A busy machine may take longer to connect than an opening waits. */
async function open() {
  for (;;) {
    try {
      return await Presence.open(target, JSON.parse(options));
    } catch (error) {
      if (error.code !== "STORE_UNAVAILABLE") throw error;
    }
  }
}
