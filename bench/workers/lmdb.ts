/** A process that holds a key in an LMDB directory, until its parent goes. */
import { Presence } from "../../src/index.ts";

export interface LmdbHold {
  readonly target: string;
  readonly key: string;
  readonly periodMs: number;
}

process.on("message", ({ target, key, periodMs }: LmdbHold) => {
  void (async () => {
    const presence = await Presence.open(target, { periodMs });
    await presence.pinger(key).start();
    process.send?.("holding");
    process.once("disconnect", () => void presence.close().then(() => process.exit()));
  })();
});
