/** A terminal that shows one picture, and redraws it when it changes or the window is resized. Writes to stdout. */
import { systemClock } from "../lib/system-clock.ts";
import type { Room } from "./table.ts";

const ENTER = "\u001b[?1049h\u001b[?25l"; // the alternate screen, without the cursor
const LEAVE = "\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const CLEAR_LINE = "\u001b[K";
const CLEAR_BELOW = "\u001b[J";
/** The shortest and the longest time between two drawings, in ms: many changes come at once, and times pass. */
const DRAW_MS_MIN = 100;
const DRAW_MS_MAX = 1000;

export class Screen {
  readonly #stdout = process.stdout;
  readonly #picture: (room: Room) => readonly string[];
  readonly #redraw = (): void => this.draw();
  readonly #restore = (): void => void this.#stdout.write(LEAVE);
  readonly #suspend = (): void => {
    this.#restore();
    process.kill(process.pid, "SIGSTOP");
  };
  readonly #resume = (): void => this.#enter();
  readonly #quit = (): void => {
    this.#restore();
    process.kill(process.pid, "SIGQUIT");
  };
  #cancelTimer = (): void => {};
  #isChanged = false;
  #isClosed = false;

  /**
   * Takes the terminal over until `close`, except while suspended. `picture` returns the lines for the given room.
   */
  constructor(picture: (room: Room) => readonly string[]) {
    this.#picture = picture;
    this.#stdout.on("resize", this.#redraw);
    process.once("exit", this.#restore); // a second Ctrl-C ends the process at once
    process.on("SIGTSTP", this.#suspend); // Ctrl-Z
    process.on("SIGCONT", this.#resume);
    process.once("SIGQUIT", this.#quit); // Ctrl-\, which ends the process without "exit"
    this.#enter();
  }

  /** The picture has changed and will be redrawn soon. */
  changed(): void {
    if (this.#isChanged) return;
    this.#isChanged = true;
    this.#schedule(DRAW_MS_MIN);
  }

  draw(): void {
    if (this.#isClosed) return;
    this.#isChanged = false;
    const { columns, rows } = this.#stdout;
    const lines = this.#picture({ columns: columns || 80, rows: rows || 24 });
    this.#stdout.write(`${HOME}${lines.map((line) => line + CLEAR_LINE).join("\r\n")}${CLEAR_BELOW}`);
    this.#schedule(DRAW_MS_MAX);
  }

  /** Restores the terminal. */
  close(): void {
    this.#isClosed = true;
    this.#cancelTimer();
    this.#stdout.off("resize", this.#redraw);
    process.off("exit", this.#restore);
    process.off("SIGTSTP", this.#suspend);
    process.off("SIGCONT", this.#resume);
    process.off("SIGQUIT", this.#quit);
    this.#restore();
  }

  #enter(): void {
    this.#stdout.write(ENTER);
    this.draw();
  }

  #schedule(delayMs: number): void {
    this.#cancelTimer();
    this.#cancelTimer = systemClock.setTimer(this.#redraw, delayMs);
  }
}
