/** The handler in servers of Node: by itself, below a mount point, and behind a parser of bodies. */
import { json } from "node:stream/consumers";
import { expect, it } from "vitest";
import { toNodeListener } from "../../src/dashboard/index.ts";
import { listen, newStage, TOKEN } from "./support.ts";

it("it answers below its base path alone, as Node's own server gives the path", async () => {
  const { dashboard } = await newStage({ basePath: "/presence/" });
  const { url } = await listen(toNodeListener(dashboard.handler));
  expect((await fetch(`${url}presence/api/keys`)).status).toBe(200);
  expect((await fetch(`${url}elsewhere`)).status).toBe(404);
});

it("it answers below a mount point, without a redirect", async () => {
  const { dashboard } = await newStage({ basePath: "/presence" });
  const listener = toNodeListener(dashboard.handler);
  // As Express does in `app.use("/presence", listener)`.
  const { url } = await listen((incoming, outgoing) => {
    const originalUrl = incoming.url ?? "";
    incoming.url = originalUrl.replace(/^\/presence/, "") || "/";
    return listener(Object.assign(incoming, { originalUrl }), outgoing);
  });
  for (const path of ["presence/healthz", "presence/api/keys?limit=1"]) {
    expect((await fetch(`${url}${path}`, { redirect: "error" })).status).toBe(200);
  }
});

it("it holds a key whose body was parsed before", async () => {
  const { dashboard, bench } = await newStage({ token: TOKEN, allowWrites: true });
  const listener = toNodeListener(dashboard.handler);
  const { url } = await listen(async (incoming, outgoing) =>
    listener(Object.assign(incoming, { body: await json(incoming) }), outgoing),
  );
  const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
  const body = JSON.stringify({ ttl: 60_000, meta: { parsed: true } });
  const { status } = await fetch(`${url}api/keys/k`, { method: "PUT", headers, body });
  expect(status).toBeLessThan(300);
  const { presence } = await bench.open();
  expect((await presence.list()).keys).toMatchObject([{ key: "k", holders: [{ meta: { parsed: true } }] }]);
});
