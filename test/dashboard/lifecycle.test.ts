/** The dashboard after a drop of the namespace, after its close, and after a restart; and requests that change nothing. */
import { expect, it } from "vitest";
import { newStage, type Stage, StreamClient, TOKEN } from "./support.ts";

const WRITES = { token: TOKEN, allowWrites: true };

async function refusal(response: Response): Promise<[status: number, code: string]> {
  const { error } = (await response.json()) as { error: { code: string } };
  return [response.status, error.code];
}

/** Lets periods pass until `/healthz` answers with the status. */
async function untilHealthIs(status: number, { bench, ask }: Stage): Promise<void> {
  for (let period = 0; (await ask("/healthz")).status !== status; period++) {
    expect(period).toBeLessThan(30);
    await bench.periods(1);
  }
}

it("a dropped namespace stays dropped until another process sets it up again", async () => {
  const stage = await newStage();
  const { bench, json, hold } = stage;
  const { pingers } = await hold(["held"]);
  const { presence: dropping } = await bench.open();
  await dropping.drop();
  await untilHealthIs(503, stage);
  await bench.periods(20);
  expect(await bench.stored.config()).toBeUndefined();
  expect(pingers[0]?.state).toBe("killed");
  await hold(["after"]);
  await untilHealthIs(200, stage);
  expect(await json("/api/keys?state=all")).toMatchObject({ keys: [{ key: "after" }] });
});

it("a namespace whose config cannot be read is waited for", async () => {
  const stage = await newStage();
  const { bench, link, hold } = stage;
  const { presence: dropping } = await bench.open();
  await dropping.drop();
  await untilHealthIs(503, stage);
  await hold(["after"]);
  link.fail();
  await bench.periods(5);
  expect((await stage.ask("/healthz")).status).toBe(503);
  link.heal();
  await untilHealthIs(200, stage);
});

it("a closed dashboard answers nothing about keys, and an open stream ends without another event", async () => {
  const stage = await newStage();
  const client = new StreamClient(await stage.ask("/api/changes"));
  await client.all();
  await stage.hold(["a"]);
  const late = await stage.ask("/api/changes"); // nothing of it is read yet
  await stage.dashboard.close();
  expect(await late.text()).toBe("");
  for (const path of ["changes", "keys", "keys/a", "pulse"])
    expect(await refusal(await stage.ask(`/api/${path}`))).toEqual([503, "PRESENCE_CLOSED"]);
});

it("the pulse after a read that this server has not reached is the whole pulse", async () => {
  const { bench, ask, json } = await newStage();
  await bench.periods(3.7);
  const pings = async (after: string): Promise<unknown[]> =>
    ((await json(`/api/pulse?after=${after}`)) as { pings: unknown[] }).pings;
  const all = await pings("0");
  expect(all.length).toBeGreaterThan(1);
  expect(await pings("999999")).toEqual(all);
  for (const after of ["abc", "-1", "1.5", ""]) {
    expect(await refusal(await ask(`/api/pulse?after=${after}`))).toEqual([400, "BAD_REQUEST"]);
  }
});

it("a refused PUT does not prolong what is held", async () => {
  const { bench, order, json } = await newStage(WRITES);
  const put = (body: unknown): Promise<Response> =>
    order("/api/keys/job", { method: "PUT", body: JSON.stringify(body) });
  expect((await put({ ttl: 2000 })).status).toBe(201);
  expect(await refusal(await put({ ttl: 600_000, meta: "x".repeat(17_000) }))).toEqual([400, "INVALID_META"]);
  await bench.periods(4);
  expect(await json("/api/keys/job")).toMatchObject({ alive: false });
});

it.each([
  ["a body that is not UTF-8", "PUT /api/keys", Buffer.from('{"ttl":5000,"key":"\xff"}', "latin1")],
  ["a body with an unknown field", "PUT /api/keys/a", '{"ttl":5000,"metadata":1}'],
  ["a body with a field of another route", "POST /api/keys/a/kill", '{"ttl":5000}'],
])("%s is refused, and changes nothing", async (_what, request, body) => {
  const { bench, order, json } = await newStage(WRITES);
  const [method = "", path = ""] = request.split(" ");
  expect(await refusal(await order(path, { method, body }))).toEqual([400, "BAD_REQUEST"]);
  await bench.periods(1);
  expect(await json("/api/keys")).toMatchObject({ keys: [] });
});

it("/api/changes takes GET and nothing else, whatever is asked", async () => {
  const { ask } = await newStage();
  for (const method of ["HEAD", "POST", "PUT", "DELETE"]) {
    const { status, headers } = await ask("/api/changes", { method });
    expect([method, status, headers.get("allow")]).toEqual([method, 405, "GET"]);
  }
});

it.each([["http://x"], ["a:1"], [""]])("a host that is none is named in the refusal: %j", async (host) => {
  await expect(newStage({ hosts: ["ops.example.net", host] })).rejects.toThrow(JSON.stringify(host));
});
