/** For tests: a dashboard over a memory store on a manual clock, and a client of its streams. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { expect, onTestFinished } from "vitest";
import { EventParser } from "../../dashboard/src/net/sse.ts";
import { dashboard, type DashboardOptions } from "../../src/dashboard/index.ts";
import { Bench } from "../presence/support.ts";

export const TOKEN = "a-token-of-16-characters-or-more";
export const WRITES = { token: TOKEN, allowWrites: true };

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

/** The status of an answer, and the code of its refusal. */
export async function refusal(response: Response): Promise<[status: number, code: string]> {
  const { error } = (await response.json()) as { error: { code: string } };
  return [response.status, error.code];
}

/** Lets periods pass until `/healthz` answers with the status: processes notice by themselves. */
export async function untilHealthIs(status: number, { bench, ask }: Stage): Promise<void> {
  for (let period = 0; (await ask("/healthz")).status !== status; period++) {
    expect(period).toBeLessThan(30);
    await bench.periods(1);
  }
}

/** An HTTP server that can go away, and whose port another can take. It ends with the test. */
export async function listen(
  listener: (incoming: IncomingMessage, outgoing: ServerResponse) => unknown,
  port = 0,
): Promise<{ url: string; port: number; close: () => Promise<void> }> {
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

/** A client that writes its requests by itself, and reads nothing before it is told to. */
export function send({ url }: { url: string }, text: string): Socket {
  const socket = connect(Number(new URL(url).port), "127.0.0.1").pause();
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => {}).write(text);
  return socket;
}

/** All that the client is answered, up to the end of its connection. */
export async function readAll(socket: Socket): Promise<string> {
  let text = "";
  socket.setEncoding("utf8").on("data", (some: string) => (text += some));
  socket.resume();
  await new Promise((resolve) => socket.once("close", resolve));
  return text;
}

export const get = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`;

/** One server-sent event. */
export interface Told {
  readonly event: string;
  readonly id: string;
  readonly data: unknown;
}

/** A client of `/api/changes` that takes events when it is told to. */
export class StreamClient {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #utf8 = new TextDecoder();
  readonly #parser = new EventParser();
  #next: ReturnType<ReadableStreamDefaultReader<Uint8Array>["read"]> | undefined;
  lastId = "";
  ended = false;

  constructor(response: Response) {
    this.#reader = response.body!.getReader();
    onTestFinished(() => this.close());
  }

  /** Takes all that there is to tell now. */
  async all(): Promise<Told[]> {
    const events: Told[] = [];
    while (!this.ended) {
      this.#next ??= this.#reader.read();
      const waited = new Promise<undefined>((resolve) =>
        setImmediate(() => setImmediate(resolve, undefined)),
      );
      const result = await Promise.race([this.#next, waited]);
      if (result === undefined) break;
      this.#next = undefined;
      this.ended = result.done;
      for (const { event, id, data } of this.#parser.take(
        this.#utf8.decode(result.value, { stream: true }),
      )) {
        events.push({ event, id, data: JSON.parse(data) });
        this.lastId = id;
      }
    }
    return events;
  }

  /** The connection is lost. */
  async close(): Promise<void> {
    await this.#reader.cancel();
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
    return event === "health" ? `health ${(data as { state: string }).state}` : event;
  });
}
