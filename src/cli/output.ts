/** The output of the command, except `screen.ts`: stdout has only data, stderr has messages. */
import type { WriteStream } from "node:tty";
import { type Colour, printableJson } from "./text.ts";

const CODES: Readonly<Record<Colour, readonly [on: number, off: number]>> = {
  green: [32, 39],
  red: [31, 39],
  yellow: [33, 39],
  dim: [2, 22],
  bold: [1, 22],
};

type Paint = (colour: Colour, text: string) => string;

export class Output {
  readonly json: boolean;
  /** Whether a person reads stdout. */
  readonly isTerminal: boolean;
  /** Whether to draw on stdout: it is a terminal that can be drawn on, and data is not JSON. */
  readonly isScreen: boolean;
  /** Colours for stdout, if it supports them. */
  readonly paint: Paint;
  /** Colours for stderr, if it supports them. */
  readonly paintTalk: Paint;
  readonly #stdout: WriteStream;
  readonly #stderr: WriteStream;
  #hasReader = true;
  /** Shared by all instances: stderr has only one last line. */
  static #progress = "";

  constructor(json: boolean, env: NodeJS.ProcessEnv = process.env) {
    this.json = json;
    this.#stdout = process.stdout;
    this.#stderr = process.stderr;
    this.isTerminal = this.#stdout.isTTY;
    this.isScreen = this.isTerminal && !json && env["TERM"] !== "dumb";
    this.paint = painter(this.#stdout, env);
    this.paintTalk = painter(this.#stderr, env);
    this.#stdout.once("error", () => (this.#hasReader = false));
  }

  /** Writes a line of data. Resolves when there is room for more. A reader that has gone is not an error. */
  async data(line: string): Promise<void> {
    this.progress(undefined);
    if (!this.#hasReader || this.#stdout.write(`${line}\n`)) return;
    await oneOf(this.#stdout, ["drain", "close", "error"]);
  }

  /** Writes one line of JSON, for programs. */
  object(value: unknown): Promise<void> {
    return this.data(printableJson(value));
  }

  /** Shows the progress of long work on a terminal: a line on stderr that the next one replaces. Undefined: none. */
  progress(text = ""): void {
    if (!this.#stderr.isTTY || text === Output.#progress) return;
    Output.#progress = text;
    this.#stderr.write(`\r${text}\u001b[K`);
  }

  /** Writes a message. */
  say(line: string): void {
    this.progress(undefined);
    this.#stderr.write(`${line}\n`);
  }
}

/** Resolves at the first of the events, and removes its listeners. */
function oneOf(stream: WriteStream, names: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      for (const name of names) stream.off(name, end);
      resolve();
    };
    for (const name of names) stream.on(name, end);
  });
}

/** Resolves when everything written is out, or never will be. */
export async function allWritten(): Promise<void> {
  const streams = [process.stdout, process.stderr];
  await Promise.all(streams.map((stream) => new Promise((resolve) => stream.write("", resolve))));
}

/**
 * Calls back when the reader of stdout has gone (`| head`). Without it, further output would crash the process.
 */
export function onReaderGone(gone: (error: NodeJS.ErrnoException) => void): void {
  process.stdout.on("error", gone);
  process.stderr.on("error", () => {}); // nobody is left to read it
}

/** Writes what commander prints for `--help` and `--version`. */
export function writeHelp(text: string): void {
  process.stdout.write(text);
}

/** Writes what commander prints if a command is missing. */
export function writeTalk(text: string): void {
  process.stderr.write(text);
}

function painter(stream: WriteStream, env: NodeJS.ProcessEnv): Paint {
  const { NO_COLOR } = env;
  const coloured = stream.isTTY && (NO_COLOR ?? "") === "" && stream.hasColors(env);
  return (colour, text) => {
    const [on, off] = CODES[colour];
    return coloured ? `\u001b[${on}m${text}\u001b[${off}m` : text;
  };
}
