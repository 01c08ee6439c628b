// A chat that shows who is online, on which devices. Start it on several ports: they share who is online.
//
//     node chat/server.js [port]
//
//     client  {"hello": "ann", "device": "phone"}     {"say": "hi"}     {"bye": true}
//     server  {"user": "ann", "online": true, "devices": ["phone"]}     {"user": "ann", "said": "hi"}
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { Presence } from "heartbit";
import { WebSocketServer } from "ws";
import { store } from "../store.js";

/** Who loses the connection has so long to come back, unnoticed. */
const GRACE_MS = 3000;
const PREFIX = "user/";

const presence = await Presence.open(store, { name: "chat", periodMs: 1000 });
const page = await readFile(new URL("index.html", import.meta.url));
const server = createServer((_request, response) =>
  response.setHeader("Content-Type", "text/html").end(page),
);
const sockets = new WebSocketServer({ server, maxPayload: 4096 });

/** What is said goes to the clients of this server alone; between servers a chat would need a broker. */
function broadcast(message) {
  for (const client of sockets.clients) send(client, message);
}

function send(client, message) {
  if (client.readyState === client.OPEN) client.send(JSON.stringify(message));
}

/** Who is online, for one who has just come, and then for all. */
const online = new Map();
presence.watcher().watch({ prefix: PREFIX }, ({ key, alive, holders }) => {
  const user = key.slice(PREFIX.length);
  const devices = [...new Set(holders.map(({ meta }) => meta.device))];
  const state = { user, online: alive, devices };
  if (alive) online.set(user, state);
  else online.delete(user);
  broadcast(state);
});

sockets.on("connection", (client) => {
  let user;
  let pinger; // one for each connection: a user with two devices has two holders

  async function hear(message) {
    if (user === undefined && isName(message.hello) && isName(message.device)) {
      user = message.hello;
      pinger = presence.pinger(PREFIX + user, { meta: { device: message.device } });
      for (const state of online.values()) send(client, state);
      await pinger.start();
    } else if (user !== undefined && isName(message.say)) broadcast({ user, said: message.say });
    else if (message.bye === true) {
      await pinger?.kill(); // at once, unless another device is there
      client.close();
    } else client.close(1008, "not understood");
  }

  client.on("message", (data) => {
    // What a client sends may be anything. One that sends nonsense loses its connection, no more.
    Promise.resolve()
      .then(() => hear(JSON.parse(String(data))))
      .catch(() => client.close(1008, "not understood"));
  });
  client.on("error", () => client.close());
  client.on("close", () => {
    if (pinger?.state === "started") pinger.stop({ holdMs: GRACE_MS }).catch(console.error);
  });
});

function isName(text) {
  return typeof text === "string" && /^\S(.{0,198}\S)?$/u.test(text);
}

async function end() {
  for (const client of sockets.clients) client.close(1001, "the server ends");
  server.close();
  await presence.close({ linger: true }); // its users may come back by another server
}
process.once("SIGTERM", end);
process.once("SIGINT", end);

server.listen(Number(process.argv[2] ?? 8080), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}/`);
});
