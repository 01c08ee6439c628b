import type { Section } from "../report/section.ts";

/** How much is done: a quick run has a part of the sizes and rounds, and says so. */
export interface Effort {
  readonly quick: boolean;
  /** No more keys than this, where a scenario can do with fewer: for a machine with little memory or time. */
  readonly maxKeys: number;
  /** No more processes than this are simulated: where each needs a presence, a machine has room for so many. */
  readonly maxProcesses: number;
  /** Says what is being done, for who waits. */
  readonly say: (line: string) => void;
}

export interface Scenario {
  /** For `--only`. */
  readonly name: string;
  /** Measures. Starts the servers that it needs, and ends them. */
  readonly run: (effort: Effort) => Promise<Section>;
}
