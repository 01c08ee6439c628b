import { expect, it } from "vitest";
import { newStore, start } from "../cli/heartbit.ts";

it("heartbit serve answers GET /metrics with the metrics of what it watches: everything", async () => {
  const env = await newStore();
  await start(["ping", "a"], env).says("stderr", /Holding/);
  const serve = start(["serve", "--port", "0", "--json"], env);
  const [line] = await serve.says("stdout", /^.*\n/);
  const { url } = JSON.parse(line) as { url: string };
  for (let text = ""; !text.includes('heartbit_alive{namespace="presence",kind="keys"} 1');) {
    const answer = await fetch(new URL("metrics", url));
    expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    text = await answer.text();
    expect(text).toContain('heartbit_healthy{namespace="presence"}');
  }
});
