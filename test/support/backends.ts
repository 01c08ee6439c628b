/** The stores on which the tests of the API run. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Presence, PresenceOptions, Target } from "../../src/index.ts";
import { newDatabase } from "../servers/database.ts";
import { opened } from "./wait.ts";
import { Worker } from "./workers.ts";

export interface Backend {
  readonly name: string;
  /** A target of its own, for as many presences as are wanted. */
  target(): Promise<Target>;
  readonly options?: PresenceOptions;
}

let count = 0;

export const backends: readonly Backend[] = [
  { name: "memory", target: async () => `memory:test-${process.pid}-${count++}` },
  { name: "SQLite", target: async () => `sqlite:${await mkdtemp(join(tmpdir(), "heartbit-test-"))}` },
  { name: "MongoDB with its feed", target: async () => newDatabase() },
  { name: "MongoDB by polling", target: async () => newDatabase(), options: { feed: "poll" } },
];

/** Opens presences of one namespace, and processes that hold keys in it; ends all at the end of the test. */
export class World implements AsyncDisposable {
  readonly target: Target;
  readonly #options: PresenceOptions;
  readonly #opened: Presence[] = [];
  readonly #workers: Promise<Worker>[] = [];

  private constructor(target: Target, options: PresenceOptions) {
    this.target = target;
    this.#options = options;
  }

  static async of(backend: Backend, options: PresenceOptions = {}): Promise<World> {
    return new World(await backend.target(), { periodMs: 400, ...backend.options, ...options });
  }

  async open(options: PresenceOptions = {}): Promise<Presence> {
    const presence = await opened(this.target, { ...this.#options, ...options });
    this.#opened.push(presence);
    return presence;
  }

  /** A process that holds the keys. */
  work(...keys: string[]): Promise<Worker> {
    const worker = Worker.start(this.target as string, this.#options, ...keys);
    this.#workers.push(worker);
    return worker;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#workers.map(async (worker) => (await worker).crash()));
    await Promise.all(this.#opened.map((presence) => presence.close()));
    if (typeof this.target === "string" && this.target.startsWith("sqlite:")) {
      await rm(this.target.slice(7), { recursive: true, force: true });
    }
  }
}
