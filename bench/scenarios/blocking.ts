/** For how long each call keeps the event loop busy, among 200,000 keys. */
import { benchDatabase } from "../servers/database.ts";
import { show } from "../report/section.ts";
import { startMongo } from "../servers/mongo.ts";
import { Worker } from "../workers/ask.ts";
import type { Blocked, ToBlocking } from "../workers/blocking.ts";
import type { Scenario } from "./scenario.ts";

const KEYS = 200_000;
const PREFIXES = 4000;
const PERIOD_MS = 5000;
const BLOCK_MS = 20;
const HEAP = ["--expose-gc", "--max-old-space-size=8192"];

export const blocking: Scenario = {
  name: "blocking",
  async run({ quick, maxKeys, say }) {
    const server = await startMongo();
    const worker = new Worker<ToBlocking>("blocking.js", HEAP);
    const keys = Math.min(quick ? 20_000 : KEYS, maxKeys);
    try {
      say(`holding and watching ${keys} keys`);
      const target = { uri: benchDatabase(server.uri ?? "", "blocking"), name: "keys", periodMs: PERIOD_MS };
      const blocked = await worker.ask<Blocked[]>({ target, keys, prefixes: PREFIXES });
      const longest = Math.max(...blocked.map(({ longestMs }) => longestMs));
      return {
        title: `What keeps the event loop busy, among ${keys.toLocaleString("en-US")} keys`,
        about: `One process has two presences: one holds all keys, the other watches them and serves the dashboard and the metrics. The longest turn of the event loop is in CPU time of the thread, so it does not include other processes, but includes the garbage collector. Watching and unwatching are as many calls in one turn.`,
        tables: [
          {
            title: "Longest turns",
            columns: ["", "took, ms", "longest turn, ms of CPU"],
            rows: blocked.map(({ what, tookMs, longestMs }) => [what, show(tookMs), show(longestMs)]),
          },
        ],
        goals: [
          {
            id: "blocking",
            text: `nothing keeps the event loop busy for more than ${BLOCK_MS} ms, among ${KEYS.toLocaleString("en-US")} keys`,
            figure: `${show(longest)} ms${keys < KEYS ? `, with ${keys.toLocaleString("en-US")} keys` : ""}`,
            reached: longest <= BLOCK_MS && keys >= KEYS,
          },
        ],
      };
    } finally {
      await worker.stop();
      await server.stop();
    }
  },
};
