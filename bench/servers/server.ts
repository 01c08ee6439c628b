import type { Address } from "../peers/peer.ts";

/** A server that runs for the benchmarks. */
export interface BenchServer {
  /** With its version. */
  readonly name: string;
  /** Absent where its process is not on this machine: then its processor time is not known. */
  readonly pid?: number;
  readonly address: Address;
  /** Of a MongoDB server, without a database. */
  readonly uri?: string;
  /** Ends it, where it is ours. */
  stop(): Promise<void>;
}

/** The servers that have run since the process began, with their versions, and those that are not installed. */
export const used = { running: new Set<string>(), missing: new Set<string>() };
