/** A process that holds a key in a SQLite directory, and starts others when it is asked to, until its parent goes. */
import { Presence } from "../../src/index.ts";
import { clockMs } from "../measure/time.ts";

export interface SqliteHold {
  readonly target: string;
  readonly key: string;
  readonly periodMs: number;
}

/** Answered with when `start` was called, by the clock that all processes share, in ms, once it has resolved. */
export interface SqliteJoin {
  readonly join: string;
}

let opening: Promise<Presence> | undefined;

async function hold({ target, key, periodMs }: SqliteHold): Promise<void> {
  opening = Presence.open(target, { periodMs });
  const presence = await opening;
  await presence.pinger(key).start();
  process.send?.("holding");
  process.once("disconnect", () => void presence.close().then(() => process.exit()));
}

async function join(key: string): Promise<void> {
  const presence = await opening;
  const at = clockMs();
  await presence?.pinger(key).start();
  process.send?.(at);
}

process.on("message", (message: SqliteHold | SqliteJoin) => {
  void ("join" in message ? join(message.join) : hold(message));
});
