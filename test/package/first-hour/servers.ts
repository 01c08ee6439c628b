/** A server that a check has started, and what it answers. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Consumer } from "./consumer.ts";

export class Serving implements AsyncDisposable {
  readonly #child: ChildProcess;
  /** Resolves with its exit status, or the signal. */
  readonly ended: Promise<string>;
  #output = "";
  #heard: () => void = () => {};

  constructor({ folder }: Consumer, args: readonly string[], env: NodeJS.ProcessEnv) {
    const options = { cwd: folder, env: { ...process.env, NODE_OPTIONS: "", ...env } };
    this.#child = spawn(process.execPath, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        this.#output += chunk.toString();
        this.#heard();
      });
    }
    this.ended = once(this.#child, "close").then(([code, signal]) => String(code ?? signal));
  }

  /** What it prints that matches; rejects when it ends without that. */
  async says(pattern: RegExp): Promise<string> {
    for (let isOver = false; ; isOver = await this.#change()) {
      const [found] = pattern.exec(this.#output) ?? [];
      if (found !== undefined) return found;
      if (isOver) throw new Error(`it has ended without ${pattern}:\n${this.#output}`);
    }
  }

  /** Resolves when it has printed more, or has ended: whether that. */
  #change(): Promise<boolean> {
    const more = new Promise<boolean>((resolve) => (this.#heard = () => resolve(false)));
    return Promise.race([more, this.ended.then(() => true)]);
  }

  ask(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
  }
}

/** The page, at the path with and without a slash, and all that it names. Follows redirects as a browser does. */
export async function checkPage(url: string): Promise<string> {
  const seen: string[] = [];
  for (const path of [url, `${url}/`]) {
    const page = await fetch(path); // rejects at a loop of redirects
    const html = await page.text();
    const named = [...html.matchAll(/(?:src|href)="(\.[^"]+)"/g)].map(
      ([, link = ""]) => new URL(link, page.url),
    );
    if (page.status !== 200 || named.length < 3)
      throw new Error(`${path}: ${page.status} ${html.slice(0, 500)}`);
    for (const link of named) {
      const { status } = await fetch(link);
      if (status !== 200) throw new Error(`${link.href}, which ${path} names: ${status}`);
    }
    seen.push(page.redirected ? `redirected to ${new URL(page.url).pathname}` : "as it is");
  }
  return `without a slash ${seen[0]}, with one ${seen[1]}`;
}

/** The keys; and that the stream of changes begins. */
export async function checkRoutes(url: string, key: string): Promise<void> {
  const keys = await (await fetch(`${url}/api/keys`)).text();
  if (!keys.includes(`"key":"${key}`)) throw new Error(`${url}/api/keys: no ${key} in ${keys.slice(0, 500)}`);
  const stop = new AbortController();
  const changes = await fetch(`${url}/api/changes`, { signal: stop.signal });
  const first = await changes.body?.getReader().read();
  stop.abort();
  const text = new TextDecoder().decode(first?.value);
  if (!text.includes("event: hello")) throw new Error(`${url}/api/changes: ${text.slice(0, 500)}`);
}
