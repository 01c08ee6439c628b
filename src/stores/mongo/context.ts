/** The state that the parts of one namespace share. */
import type { Document } from "mongodb";
import type { Calls, Limits } from "./calls.ts";
import type { Names } from "./indexes.ts";
import type { Monitor } from "./monitor.ts";
import type { ServerClock } from "./server-clock.ts";
import type { ServerInfo } from "./server.ts";

export interface Context {
  readonly calls: Calls;
  readonly limits: Limits;
  readonly names: Names;
  readonly monitor: Monitor;
  readonly periodMs: number;
  readonly retentionSlots: number;
  /** What is known about the clock that stamps writes to this namespace. */
  readonly clock: ServerClock;
  /** Until when nothing is inserted because inserts were late: a monotonic time, in ms. */
  readonly pace: { slowUntil: number };
  /** What kind of server it is: asked at the first use, and again after the server was lost and found. */
  server(): Promise<ServerInfo>;
  /** A command that writes, acknowledged as safely as this server can, and bounded on the server too. */
  readonly send: (
    doing: string,
    command: Document,
    limitMs: number,
    signal?: AbortSignal,
  ) => Promise<Document>;
  /** Warns in one sentence about something that a person may want to look into. */
  readonly warn: (message: string) => void;
  /** A document was ignored that heartbit cannot have written. */
  unrecognized(collection: string, id: unknown): void;
}
