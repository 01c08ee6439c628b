/** What the parts of one namespace share. */
import type { Calls, Limits } from "./calls.ts";
import type { Names } from "./indexes.ts";
import type { Monitor } from "./monitor.ts";
import type { ServerInfo } from "./server.ts";

export interface Context {
  readonly calls: Calls;
  readonly limits: Limits;
  readonly names: Names;
  readonly monitor: Monitor;
  readonly periodMs: number;
  readonly retentionSlots: number;
  /** Who the server is: asked once, at the first use. */
  server(): Promise<ServerInfo>;
  /** The server's time in ms, or a little less. */
  serverMs(): Promise<number>;
  /** A document was passed over that heartbit cannot have written. */
  foreign(collection: string, id: unknown): void;
}
