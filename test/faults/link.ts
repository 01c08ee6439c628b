/**
 * The link of one process to the server: a TCP proxy on loopback, which can be made as bad as a network. Several
 * conditions may hold at a time.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** Up is from the process to the server. */
export type Direction = "up" | "down";

export type Condition =
  /** Ends what is connected, and whatever connects. */
  | { readonly kind: "cut" }
  /** Nothing arrives, and nobody is told; it arrives when the condition ends. */
  | { readonly kind: "hold"; readonly directions: readonly Direction[] }
  | { readonly kind: "delay"; readonly directions: readonly Direction[]; readonly ms: number }
  /** Ends one direction of what is connected now; the other stays open. */
  | { readonly kind: "half-close"; readonly direction: Direction };

class Pipe {
  readonly #link: Link;
  readonly #direction: Direction;
  readonly #to: Socket;
  readonly #queue: { readonly data: Buffer; readonly due: number }[] = [];
  #isWaiting = false;
  #ended = false;

  constructor(link: Link, direction: Direction, from: Socket, to: Socket) {
    this.#link = link;
    this.#direction = direction;
    this.#to = to;
    from.on("data", (data: Buffer) => {
      this.#queue.push({ data, due: performance.now() + link.delayMs(direction) });
      this.flush();
    });
    from.on("end", () => {
      this.#ended = true;
      this.flush();
    });
  }

  flush(): void {
    if (this.#link.isHeld(this.#direction)) return;
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      const left = first.due - performance.now();
      if (left > 0) {
        if (this.#isWaiting) return;
        this.#isWaiting = true;
        setTimeout(() => {
          this.#isWaiting = false;
          this.flush();
        }, left);
        return;
      }
      this.#queue.shift();
      if (this.#to.writable) this.#to.write(first.data);
    }
    if (this.#ended) this.halfClose();
  }

  halfClose(): void {
    if (this.#to.writable) this.#to.end();
  }
}

interface Connection {
  readonly client: Socket;
  readonly server: Socket;
  readonly up: Pipe;
  readonly down: Pipe;
}

export class Link {
  readonly port: number;
  readonly #listener: Server;
  readonly #serverPort: number;
  readonly #connections = new Set<Connection>();
  readonly #conditions = new Set<Condition>();

  static async open(serverPort: number): Promise<Link> {
    const listener = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    return new Link(listener, serverPort);
  }

  private constructor(listener: Server, serverPort: number) {
    this.#listener = listener;
    this.#serverPort = serverPort;
    this.port = (listener.address() as AddressInfo).port;
    listener.on("connection", (client) => this.#connect(client));
  }

  /** The result ends the condition. */
  impose(condition: Condition): () => void {
    this.#conditions.add(condition);
    for (const connection of this.#connections) {
      if (condition.kind === "cut") destroy(connection);
      else if (condition.kind === "half-close") connection[condition.direction].halfClose();
    }
    return () => {
      this.#conditions.delete(condition);
      for (const { up, down } of this.#connections) {
        up.flush();
        down.flush();
      }
    };
  }

  isHeld(direction: Direction): boolean {
    return [...this.#conditions].some(
      (condition) => condition.kind === "hold" && condition.directions.includes(direction),
    );
  }

  delayMs(direction: Direction): number {
    return [...this.#conditions].reduce(
      (ms, condition) =>
        condition.kind === "delay" && condition.directions.includes(direction)
          ? Math.max(ms, condition.ms)
          : ms,
      0,
    );
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) destroy(connection);
    await new Promise((resolve) => this.#listener.close(resolve));
  }

  #connect(client: Socket): void {
    client.on("error", () => {});
    if ([...this.#conditions].some(({ kind }) => kind === "cut")) {
      client.destroy();
      return;
    }
    const server = connect({ port: this.#serverPort, host: "127.0.0.1", allowHalfOpen: true });
    server.on("error", () => {});
    for (const socket of [client, server]) socket.setNoDelay(true);
    const connection = {
      client,
      server,
      up: new Pipe(this, "up", client, server),
      down: new Pipe(this, "down", server, client),
    };
    this.#connections.add(connection);
    for (const socket of [client, server]) {
      socket.on("close", () => {
        this.#connections.delete(connection);
        destroy(connection);
      });
    }
  }
}

function destroy({ client, server }: Connection): void {
  client.destroy();
  server.destroy();
}
