/** What heartbit is measured beside: ways of telling who is alive, each as a good engineer would write it. */

/** Where a server listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface PeerOptions {
  /** Of its server. For MongoDB `uri` says the same. */
  readonly address: Address;
  /** Of a MongoDB server, without a database. */
  readonly uri?: string;
  /** Keeps one run apart from another. */
  readonly name: string;
  /** How often each process says that it is alive. */
  readonly periodMs: number;
}

export interface FleetSize {
  readonly processes: number;
  readonly keysEach: number;
  /** Whether each process has a client of the MongoDB driver of its own, as real processes do. Else they share one. */
  readonly ownClients?: boolean;
}

export interface Peer {
  /**
   * So many processes, each holding its own keys, none of which another holds. They are simulated: sessions, leases or
   * connections of this one process.
   */
  fleet(size: FleetSize): Promise<Fleet>;
  /** Holds a key, and keeps it alive, as a process of its own. Resolves when others can see it. */
  join(key: string): Promise<Member>;
  /** Tells who lives and who has died, from now on. Resolves when it will miss nothing. */
  watch(told: (key: string, alive: boolean) => void): Promise<void>;
  /** Ends what it has opened. What was held dies of itself. */
  close(): Promise<void>;
}

/** A peer whose readers poll. */
export interface Polled extends Peer {
  /** Reads which keys are alive, as a reader that has just come; returns how many. */
  who(): Promise<number>;
  /** The same, as that reader does it in each period. */
  whoAgain(): Promise<number>;
}

export interface Fleet {
  /** Keeps the keys of one process alive for one more period. Absent where the processes do so by themselves. */
  readonly ping?: (process: number) => Promise<void>;
  close(): Promise<void>;
}

export interface Member {
  /** Tells that the key is dead now. Resolves when that is written. */
  kill(): Promise<void>;
  /** Tells something new of the key, which is alive before and after. Absent where there is nothing to tell. */
  update?(): Promise<void>;
}

/** How many periods of silence heartbit forgives at the least: who pings last at 40 % of a slot dies 2.5 slots after its start. */
export const PERIODS_OF_SILENCE = 2.1;

/** How long a process may be silent before it is told dead: the same for all. */
export function silenceMs({ periodMs }: PeerOptions): number {
  return Math.round(PERIODS_OF_SILENCE * periodMs);
}

const keyOf = (process: number, key: number): string => `process-${process}/key-${key}`;

/** The keys of one process of a fleet. */
export function keysOf(process: number, { keysEach }: FleetSize): string[] {
  return Array.from({ length: keysEach }, (_, key) => keyOf(process, key));
}
