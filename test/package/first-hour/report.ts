/** One line for each thing that was tried, and the sum. */

/** What was tried cannot be had on this machine. */
export class NotHere extends Error {}

/** What is said where a registry or a package cannot be reached. */
const UNREACHABLE =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ERR_SOCKET|E40[34]\b|_FETCH_40[34]/;

export class Report {
  #ok = 0;
  #failed = 0;
  #notHere = 0;

  /** `act` gives what is worth saying: versions, figures. */
  async try(what: string, act: () => Promise<string | void>): Promise<void> {
    const began = performance.now();
    const took = (): string => ` (${Math.round((performance.now() - began) / 100) / 10} s)`;
    try {
      const said = await act();
      this.#ok++;
      console.log(`ok        ${what}${said === undefined || said === "" ? "" : `: ${said}`}${took()}`);
    } catch (error) {
      const { message, stack = message } = error instanceof Error ? error : new Error(String(error));
      const isHere = !(error instanceof NotHere) && !UNREACHABLE.test(message);
      if (isHere) this.#failed++;
      else this.#notHere++;
      const why = error instanceof NotHere ? message : isHere ? stack : firstLineWith(UNREACHABLE, message);
      console.log(
        `${isHere ? "failed  " : "not here"}  ${what}: ${why.trim().replaceAll("\n", "\n          ")}`,
      );
    }
  }

  /** Prints the sum. Returns the exit status. */
  end(): number {
    console.log(`${this.#ok} ok, ${this.#failed} failed, ${this.#notHere} not here`);
    return this.#failed === 0 && this.#ok > 0 ? 0 : 1;
  }
}

function firstLineWith(pattern: RegExp, text: string): string {
  return text.split("\n").find((line) => pattern.test(line)) ?? text;
}
