/** For tests: a dashboard over a memory store on a manual clock, and a client of its streams. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { dashboard, type DashboardOptions } from "../../src/dashboard/index.ts";
import { Bench } from "../presence/support.ts";

export const TOKEN = "a-token-of-16-characters-or-more";

export type Stage = Awaited<ReturnType<typeof newStage>>;

export async function newStage(options: DashboardOptions = {}, bench = new Bench()) {
  // The dashboard's own, and what is between it and the store.
  const { presence, link } = await bench.open();
  const made = dashboard(presence, options);
  onTestFinished(async () => {
    const closed = made.close().then(() => presence.close());
    await bench.periods(3);
    await closed;
  });
  await bench.periods(1);
  /** Asks for a path, as a browser on this machine does. */
  const ask = (path: string, init?: RequestInit): Promise<Response> =>
    made.handler(new Request(`http://localhost:7077${path}`, init));
  /** Asks for a path with the token. */
  const order = (path: string, init: RequestInit = {}): Promise<Response> =>
    ask(path, { ...init, headers: { authorization: `Bearer ${TOKEN}`, ...(init.headers as object) } });
  /** The JSON that a path answers to one with the token. */
  const json = async (path: string): Promise<unknown> => (await order(path)).json();
  /** Another process holds the keys; resolves when the dashboard has seen them. */
  const hold = async (keys: readonly string[], meta: unknown = null) => {
    const { presence: holder } = await bench.open();
    const pingers = keys.map((key) => holder.pinger(key, { meta }));
    await Promise.all(pingers.map((pinger) => pinger.start()));
    await bench.periods(1);
    return { presence: holder, pingers };
  };
  return { bench, presence, link, dashboard: made, ask, order, json, hold };
}

/** An HTTP server that can go away, and whose port another can take. It ends with the test. */
interface Front {
  readonly url: string;
  readonly port: number;
  readonly close: () => Promise<void>;
}

export async function listen(
  listener: (incoming: IncomingMessage, outgoing: ServerResponse) => unknown,
  port = 0,
): Promise<Front> {
  const server = createServer((incoming, outgoing) => void listener(incoming, outgoing));
  await once(server.listen(port, "127.0.0.1"), "listening");
  const bound = (server.address() as AddressInfo).port;
  const close = async (): Promise<void> => {
    server.close().closeAllConnections();
    if (server.listening) await once(server, "close");
  };
  onTestFinished(close);
  return { url: `http://127.0.0.1:${bound}/`, port: bound, close };
}

/** One server-sent event; a comment has the name "". */
export interface Told {
  readonly event: string;
  readonly id: string | undefined;
  readonly data: unknown;
}

/** A client of `/api/changes` that takes events when it is told to. */
export class StreamClient {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #utf8 = new TextDecoder();
  readonly #events: Told[] = [];
  #text = "";
  #next: ReturnType<ReadableStreamDefaultReader<Uint8Array>["read"]> | undefined;
  lastId: string | undefined;
  ended = false;

  constructor(response: Response) {
    if (response.body === null) throw new Error("The answer has no body.");
    this.#reader = response.body.getReader();
    onTestFinished(() => this.close());
  }

  /** Takes all that there is to tell now. */
  async all(): Promise<Told[]> {
    for (;;) {
      this.#next ??= this.#reader.read();
      const waited = new Promise<undefined>((resolve) =>
        setImmediate(() => setImmediate(() => resolve(undefined))),
      );
      const result = await Promise.race([this.#next, waited]);
      if (result === undefined) return this.#events.splice(0);
      this.#next = undefined;
      if (result.done) {
        this.ended = true;
        return this.#events.splice(0);
      }
      this.#parse(this.#utf8.decode(result.value, { stream: true }));
    }
  }

  /** The connection is lost. */
  async close(): Promise<void> {
    await this.#reader.cancel();
  }

  #parse(text: string): void {
    const blocks = (this.#text + text).split("\n\n");
    this.#text = blocks.pop() ?? "";
    for (const block of blocks) {
      const field = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1];
      const id = field("id");
      if (id !== undefined) this.lastId = id;
      this.#events.push({ event: field("event") ?? "", id, data: JSON.parse(field("data") ?? "null") });
    }
  }
}

/** The events as words: `change a dead expired`. */
export function words(events: readonly Told[]): string[] {
  return events.map(({ event, data }) => {
    if (event === "change") {
      const { key, alive, cause } = data as { key: string; alive: boolean; cause: string };
      return `${event} ${key} ${alive ? "alive" : "dead"} ${cause}`;
    }
    if (event === "keys") {
      const { keys } = data as { keys: [string, number, unknown[]][] };
      return `keys ${keys.map(([key, , holders]) => `${key}:${holders.length}`).join(" ")}`;
    }
    if (event === "hello") return `hello ${(data as { resumed: boolean }).resumed ? "again" : "anew"}`;
    if (event === "health") return `health ${(data as { state: string }).state}`;
    return event;
  });
}
