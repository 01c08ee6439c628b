/**
 * Keeps the stream of changes open. After a loss it continues where it was.
 *
 *   connecting --events arrive--> live --lost, or silent for too long--> lost --after a while--> connecting
 *   connecting --401--> locked --a token is given--> connecting
 *   any --the page is hidden for a while--> asleep --visible again--> connecting
 */
import { ask, hasToken, RequestError } from "./server.ts";
import { EventParser, type ServerEvent } from "./sse.ts";

export interface Link {
  readonly state: "connecting" | "live" | "lost" | "locked" | "asleep";
  /** Why it is lost or locked. */
  readonly reason?: string;
  readonly sinceMs: number;
}

/** The server sends something at least every 15 s. */
const SILENCE_MS = 40_000;
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 10_000;
/** A browser opens few connections to a server, so hidden tabs leave theirs to others. */
const ASLEEP_AFTER_MS = 60_000;

export class Connection {
  link: Link = { state: "connecting", sinceMs: Date.now() };
  readonly #event: (event: ServerEvent) => void;
  readonly #turned: () => void;
  #lastId = "";
  #retryMs = RETRY_MS_MIN;
  #abort = new AbortController();
  #timer = 0;
  #sleepTimer = 0;

  constructor(hears: { event: (event: ServerEvent) => void; turned: () => void }) {
    this.#event = hears.event;
    this.#turned = hears.turned;
    document.addEventListener("visibilitychange", () => this.#seen());
    addEventListener("online", () => this.#hurry());
  }

  /** Connects now, whatever it was waiting for. */
  connect(): void {
    clearTimeout(this.#timer);
    this.#abort.abort();
    this.#abort = new AbortController();
    void this.#run(this.#abort);
  }

  async #run(abort: AbortController): Promise<void> {
    // The reason stays visible while it waits.
    if (this.link.state === "asleep") this.#turn("connecting");
    try {
      const headers = this.#lastId === "" ? {} : { "last-event-id": this.#lastId };
      const response = await ask("api/changes", { headers, signal: abort.signal });
      await this.#read(response, abort);
      throw new RequestError(0, "The server has ended the connection.");
    } catch (error) {
      if (this.#abort !== abort || abort.signal.reason === "asleep") return;
      const reason = error instanceof Error ? error.message : String(error);
      if (error instanceof RequestError && error.status === 401) {
        this.#turn("locked", hasToken() ? "That is not the token." : undefined);
      } else this.#lose(reason);
    }
  }

  async #read(response: Response, abort: AbortController): Promise<void> {
    const parser = new EventParser(this.#lastId);
    if (response.body === null) return;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const silent = setTimeout(() => abort.abort("silent"), SILENCE_MS);
      const { done, value } = await reader.read().finally(() => clearTimeout(silent));
      if (done) return;
      for (const event of parser.take(value)) {
        this.#lastId = event.id;
        this.#event(event);
      }
      this.#retryMs = RETRY_MS_MIN;
      this.#turn("live");
    }
  }

  #lose(reason: string): void {
    this.#turn("lost", reason);
    this.#timer = setTimeout(() => this.connect(), this.#retryMs * (0.75 + Math.random() / 2));
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
  }

  #hurry(): void {
    if (this.link.state === "lost" || this.link.state === "asleep") this.connect();
  }

  #seen(): void {
    clearTimeout(this.#sleepTimer);
    if (document.visibilityState === "visible") this.#hurry();
    else this.#sleepTimer = setTimeout(() => this.#sleep(), ASLEEP_AFTER_MS);
  }

  #sleep(): void {
    if (this.link.state === "locked") return;
    clearTimeout(this.#timer);
    this.#abort.abort("asleep");
    this.#turn("asleep");
  }

  #turn(state: Link["state"], reason?: string): void {
    if (this.link.state === state && this.link.reason === reason) return;
    this.link = { state, sinceMs: Date.now(), ...(reason === undefined ? {} : { reason }) };
    this.#turned();
  }
}
