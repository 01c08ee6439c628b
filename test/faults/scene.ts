/** What a nemesis has to work on. */
import type { MongoClient } from "mongodb";
import type { Random } from "../simulator/random.ts";
import type { Member } from "./fleet.ts";
import type { Link } from "./link.ts";
import type { Counts, Fault } from "../judge/log.ts";

export interface Scene {
  readonly kind: "mongodb" | "sqlite";
  /** The server, or the library, and its version. */
  readonly place: string;
  readonly random: Random;
  readonly periodMs: number;
  readonly namespace: string;
  readonly fleet: readonly Member[];
  /** By the names of the members that go through one. */
  readonly links: ReadonlyMap<string, Link>;
  /** One of ours, or one for which commands are given: it may be killed. */
  readonly server?: Killable;
  /** Whether what it acknowledged survives a kill. */
  readonly isDurable: boolean;
  /** Speaks to the server past all links; no fail point is for it. */
  readonly control?: MongoClient;
  /** Where the SQLite files are. */
  readonly directory?: string;
  /** The same, where it is a small file system, that can be filled. */
  readonly disk?: string;
  count(): Promise<Omit<Counts, "t">>;
  /** Writes and reads something of its own, as a measure of how fast the store is. */
  probe(): Promise<unknown>;
  end(): Promise<void>;
}

/** A server, or whichever member of several is to be killed. */
export interface Killable {
  kill9(): Promise<void>;
  restart(): Promise<void>;
  pause?(): void;
  resume?(): void;
}

/** What a nemesis does to it. */
export interface Applied extends Omit<Fault, "kind" | "who" | "from" | "to"> {
  /** Default: all. */
  readonly who?: Fault["who"];
  readonly detail?: string;
  /** Ends it, if it does not end by itself. */
  readonly heal?: () => void | Promise<void>;
}

export interface Kind {
  readonly kind: string;
  /** How often it is drawn, beside the others. */
  readonly weight: number;
  /** One at a time of those that share it. */
  readonly exclusive?: "server" | "fail point";
  /** It is done by the server, which must be there. */
  readonly asksServer?: boolean;
  /** How long it lasts at most, in periods. */
  readonly lasts: number;
  /** Why it never can be, on this scene. */
  readonly unfit?: (scene: Scene) => string | undefined;
  /** Does it. `lastsMs`: how long until it is healed. */
  readonly apply: (scene: Scene, lastsMs: number) => Promise<Applied>;
}
