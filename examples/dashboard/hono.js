// The dashboard in a Hono server: node dashboard/hono.js [port]
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { Presence } from "heartbit";
import { dashboard } from "heartbit/dashboard";
import { store } from "../store.js";

const presence = await Presence.open(store, { name: "workers" });
await presence.pinger(`server/${process.pid}`).start();

const { handler, close } = dashboard(presence, { basePath: "/presence" });

const app = new Hono();
app.all("/presence/*", (context) => handler(context.req.raw));
app.get("/", (context) => context.text("yours"));

const port = Number(process.argv[2] ?? 7077);
const server = serve({ fetch: app.fetch, port, hostname: "127.0.0.1" }, (address) => {
  console.log(`http://127.0.0.1:${address.port}/presence/`);
});

process.once("SIGTERM", async () => {
  await close(); // ends the streams, so that the server can close
  server.close();
  await presence.close();
});
