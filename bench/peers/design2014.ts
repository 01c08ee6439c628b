/**
 * The design of 2014: each key's pinger has a number and so a bit, and adds it with `$inc` to the one document of the
 * slot, once; readers poll the documents of two slots. Not repeatable: what is added twice is another's bit.
 */
import { type Collection, Long } from "mongodb";
import { forMany } from "./many.ts";
import { AT_ONCE, connectTo } from "./mongo-peer.ts";
import { pollAlive, repeat } from "./poll.ts";
import { type Fleet, type FleetSize, keysOf, type Member, type PeerOptions, type Polled } from "./peer.ts";

/** Bits in a field of the slot's document: its numbers were 64-bit, with a sign. */
const FIELD_BITS = 63;
const BEINGS_AT_ONCE = 1000;

interface Being {
  readonly _id: number;
  readonly key: string;
}

interface SlotDocument {
  readonly _id: number;
  readonly alive: Readonly<Record<string, Long | number>>;
}

export async function openDesign2014(options: PeerOptions): Promise<Polled> {
  const db = await connectTo(options);
  const beings = db.collection<Being>("beings");
  await beings.createIndex({ key: 1 });
  return new Design2014(options, beings, db.collection<SlotDocument>("pings"));
}

class Design2014 implements Polled {
  readonly #options: PeerOptions;
  readonly #beings: Collection<Being>;
  readonly #pings: Collection<SlotDocument>;
  #count = 0;
  /** The slot in which each has pinged last. */
  readonly #pinged = new Map<number, number>();
  /** End what it does again and again. */
  readonly #ends = new Set<() => void>();

  constructor(options: PeerOptions, beings: Collection<Being>, pings: Collection<SlotDocument>) {
    this.#options = options;
    this.#beings = beings;
    this.#pings = pings;
  }

  async fleet(size: FleetSize): Promise<Fleet> {
    const first = this.#count;
    const keys = Array.from({ length: size.processes }, (_, process) => keysOf(process, size)).flat();
    await this.#register(keys);
    return {
      ping: async (process) => {
        for (let key = 0; key < size.keysEach; key++) await this.#ping(first + process * size.keysEach + key);
      },
      close: async () => {
        await this.#beings.deleteMany({});
        await this.#pings.deleteMany({});
      },
    };
  }

  async join(key: string): Promise<Member> {
    const seq = this.#count;
    await this.#register([key]);
    const end = await repeat(() => this.#ping(seq), this.#options.periodMs);
    this.#ends.add(end);
    return {
      kill: async () => {
        end();
        await this.#beings.deleteOne({ _id: seq });
      },
    };
  }

  async watch(told: (key: string, alive: boolean) => void): Promise<void> {
    this.#ends.add(await pollAlive(() => this.#alive(), this.#options.periodMs, told));
  }

  async who(): Promise<number> {
    return (await this.#alive()).length;
  }

  whoAgain(): Promise<number> {
    return this.who();
  }

  async close(): Promise<void> {
    for (const end of this.#ends) end();
    await this.#beings.db.client.close();
  }

  get #slot(): number {
    return Math.floor(Date.now() / this.#options.periodMs);
  }

  async #register(keys: readonly string[]): Promise<void> {
    const beings = keys.map((key): Being => ({ _id: this.#count++, key }));
    for (let first = 0; first < beings.length; first += BEINGS_AT_ONCE) {
      await this.#beings.insertMany(beings.slice(first, first + BEINGS_AT_ONCE));
    }
    const seqs = beings.map(({ _id: seq }) => seq);
    await forMany(seqs.length, AT_ONCE, (index) => this.#ping(seqs[index]!));
  }

  /** In a slot of its own each time: a second `$inc` in one would be another's bit. */
  async #ping(seq: number): Promise<void> {
    const slot = Math.max(this.#slot, (this.#pinged.get(seq) ?? 0) + 1);
    this.#pinged.set(seq, slot);
    const field = `alive.${Math.floor(seq / FIELD_BITS).toString(16)}`;
    const bit = Long.fromNumber(1).shiftLeft(seq % FIELD_BITS);
    await this.#pings.updateOne({ _id: slot }, { $inc: { [field]: bit } }, { upsert: true });
  }

  async #alive(): Promise<string[]> {
    const slots = await this.#pings
      .find({ _id: { $gte: this.#slot - 1 } }, { promoteLongs: false })
      .toArray();
    const seqs = new Set(slots.flatMap(({ alive }) => [...seqsIn(alive)]));
    const beings = await this.#beings.find({ _id: { $in: [...seqs] } }).toArray();
    return beings.map(({ key }) => key);
  }
}

function* seqsIn(alive: SlotDocument["alive"]): Generator<number> {
  for (const [field, value] of Object.entries(alive)) {
    const first = parseInt(field, 16) * FIELD_BITS;
    const bits = Long.fromValue(value);
    for (let bit = 0; bit < FIELD_BITS; bit++) {
      if (bits.shiftRight(bit).and(1).toNumber() === 1) yield first + bit;
    }
  }
}
