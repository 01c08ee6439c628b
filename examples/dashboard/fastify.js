// The dashboard in a Fastify server: node dashboard/fastify.js [port]
import Fastify from "fastify";
import { Presence } from "heartbit";
import { dashboard, toNodeListener } from "heartbit/dashboard";
import { store } from "../store.js";

const presence = await Presence.open(store, { name: "workers" });
await presence.pinger(`server/${process.pid}`).start();

const { handler, close } = dashboard(presence, { basePath: "/presence" });
const listener = toNodeListener(handler);

const app = Fastify();
await app.register(async (scope) => {
  // The handler reads bodies itself: in this scope nothing parses them.
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser("*", (_request, _payload, done) => done(null));
  for (const path of ["/presence", "/presence/*"]) {
    scope.all(path, (request, reply) => {
      reply.hijack();
      return listener(request.raw, reply.raw);
    });
  }
});
app.get("/", async () => "yours");

const address = await app.listen({ port: Number(process.argv[2] ?? 7077), host: "127.0.0.1" });
console.log(`${address}/presence/`);

process.once("SIGTERM", async () => {
  await close(); // ends the streams, so that the server can close
  await app.close();
  await presence.close();
});
