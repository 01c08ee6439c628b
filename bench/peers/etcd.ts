/** etcd: a lease a process, which its client keeps alive; the keys are attached to it, and are watched. */
import { Etcd3, type Lease } from "etcd3";
import { forMany } from "./many.ts";
import {
  type Fleet,
  type FleetSize,
  keysOf,
  type Member,
  type Peer,
  type PeerOptions,
  silenceMs,
} from "./peer.ts";

/** In one transaction: etcd takes 128 operations. */
const PUTS_AT_ONCE = 100;
const AT_ONCE = 20;

export async function openEtcd(options: PeerOptions): Promise<Peer> {
  const { host, port } = options.address;
  return new Etcd(options, new Etcd3({ hosts: `${host}:${port}` }));
}

class Etcd implements Peer {
  readonly #options: PeerOptions;
  readonly #client: Etcd3;
  readonly #leases = new Set<Lease>();

  constructor(options: PeerOptions, client: Etcd3) {
    this.#options = options;
    this.#client = client;
  }

  async fleet(size: FleetSize): Promise<Fleet> {
    const leases: Lease[] = [];
    await forMany(size.processes, AT_ONCE, async (process) => {
      // The client keeps a lease alive three times in its time to live: once a period.
      const lease = this.#lease((3 * this.#options.periodMs) / 1000);
      leases.push(lease);
      await this.#put(lease, keysOf(process, size));
    });
    return {
      close: async () => {
        await forMany(leases.length, AT_ONCE, (index) => leases[index]!.revoke());
        await this.#client.delete().prefix(this.#name(""));
      },
    };
  }

  async join(key: string): Promise<Member> {
    const lease = this.#lease(silenceMs(this.#options) / 1000);
    await this.#put(lease, [key]);
    return {
      kill: async () => {
        await lease.revoke();
      },
    };
  }

  async watch(told: (key: string, alive: boolean) => void): Promise<void> {
    const prefix = this.#name("");
    const watcher = await this.#client.watch().prefix(prefix).create();
    watcher.on("put", ({ key }) => told(key.toString().slice(prefix.length), true));
    watcher.on("delete", ({ key }) => told(key.toString().slice(prefix.length), false));
  }

  async close(): Promise<void> {
    for (const lease of this.#leases) lease.release();
    this.#client.close();
  }

  #name(key: string): string {
    return `${this.#options.name}/${key}`;
  }

  /** Times to live are whole seconds. */
  #lease(seconds: number): Lease {
    const lease = this.#client.lease(Math.round(seconds));
    lease.on("lost", () => {}); // what is lost is told dead by the watch
    this.#leases.add(lease);
    return lease;
  }

  async #put(lease: Lease, keys: readonly string[]): Promise<void> {
    const id = await lease.grant();
    for (let first = 0; first < keys.length; first += PUTS_AT_ONCE) {
      const puts = keys
        .slice(first, first + PUTS_AT_ONCE)
        .map((key) => this.#client.put(this.#name(key)).value("").lease(id));
      await this.#client
        .if("never", "Version", "==", 0)
        .then(...puts)
        .commit();
    }
  }
}
