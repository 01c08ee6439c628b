/** A process with a client of the driver that is connected and does nothing: what it costs all the same. */
import { MongoClient } from "mongodb";
import { ownCpuMs } from "../measure/cpu.ts";
import { wait } from "../measure/time.ts";

export interface IdleClient {
  readonly uri: string;
  /** For so long, once it is connected and settled. */
  readonly ms: number;
}

const SETTLED_MS = 5000;

process.on("message", ({ uri, ms }: IdleClient) => {
  void (async () => {
    const client = await new MongoClient(uri).connect();
    await client.db().command({ ping: 1 });
    await wait(SETTLED_MS);
    const cpu = ownCpuMs();
    await wait(ms);
    process.send?.(ownCpuMs() - cpu);
    process.once("disconnect", () => void client.close().then(() => process.exit()));
  })();
});
