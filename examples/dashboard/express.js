// The dashboard in an Express server: node dashboard/express.js [port]
import express from "express";
import { Presence } from "heartbit";
import { dashboard, toNodeListener } from "heartbit/dashboard";
import { store } from "../store.js";

const presence = await Presence.open(store, { name: "workers" });
await presence.pinger(`server/${process.pid}`).start();

const { handler, close } = dashboard(presence, { basePath: "/presence" });

const app = express();
app.use("/presence", toNodeListener(handler));
app.get("/", (_request, response) => response.send("yours"));

const server = app.listen(Number(process.argv[2] ?? 7077), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}/presence/`);
});

process.once("SIGTERM", async () => {
  await close(); // ends the streams, so that the server can close
  server.close();
  await presence.close();
});
