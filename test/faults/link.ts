/**
 * The link of one process to the server: a TCP proxy on loopback, which can be made as bad as a network. Several
 * conditions may hold at a time.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as after } from "node:timers/promises";

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

/** Where what goes in each direction arrives: up at the server, down at the client. */
type Connection = Readonly<Record<Direction, Socket>>;

export class Link {
  readonly #listener: Server;
  readonly #serverPort: number;
  readonly #connections = new Set<Connection>();
  readonly #conditions = new Set<Condition>();
  /** What waits for the end of a condition. */
  #waiting: (() => void)[] = [];

  static async open(serverPort: number): Promise<Link> {
    const listener = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    return new Link(listener, serverPort);
  }

  private constructor(listener: Server, serverPort: number) {
    this.#listener = listener;
    this.#serverPort = serverPort;
    listener.on("connection", (client) => this.#connect(client));
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port;
  }

  /** The result ends the condition. */
  impose(condition: Condition): () => void {
    this.#conditions.add(condition);
    for (const connection of this.#connections) {
      if (condition.kind === "cut") destroy(connection);
      else if (condition.kind === "half-close") connection[condition.direction].end();
    }
    return () => {
      this.#conditions.delete(condition);
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const goOn of waiting) goOn();
    };
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) destroy(connection);
    await new Promise((resolve) => this.#listener.close(resolve));
  }

  #connect(down: Socket): void {
    down.on("error", () => {});
    if ([...this.#conditions].some(({ kind }) => kind === "cut")) {
      down.destroy();
      return;
    }
    const up = connect({ port: this.#serverPort, host: "127.0.0.1", allowHalfOpen: true });
    up.on("error", () => {});
    const connection = { up, down };
    this.#connections.add(connection);
    this.#forward("up", down, up);
    this.#forward("down", up, down);
    for (const socket of [up, down]) {
      socket.setNoDelay(true);
      socket.on("close", () => {
        this.#connections.delete(connection);
        destroy(connection);
      });
    }
  }

  /** Passes on what comes in, in order, each as late as the conditions at its coming say. */
  #forward(direction: Direction, from: Socket, to: Socket): void {
    let turn = Promise.resolve();
    const inTurn = (act: () => void): void => {
      const due = performance.now() + this.#delayMs(direction);
      turn = turn.then(() => this.#arrival(direction, due)).then(act);
    };
    from.on("data", (data: Buffer) => inTurn(() => to.writable && to.write(data)));
    from.on("end", () => inTurn(() => to.end()));
  }

  async #arrival(direction: Direction, due: number): Promise<void> {
    for (let left = due - performance.now(); left > 0; left = due - performance.now()) await after(left);
    while (this.#conditionsOf(direction).some(({ kind }) => kind === "hold"))
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #delayMs(direction: Direction): number {
    return Math.max(0, ...this.#conditionsOf(direction).map((one) => ("ms" in one ? one.ms : 0)));
  }

  #conditionsOf(direction: Direction): Condition[] {
    return [...this.#conditions].filter((one) => "directions" in one && one.directions.includes(direction));
  }
}

function destroy({ up, down }: Connection): void {
  up.destroy();
  down.destroy();
}
