/** What a scenario has found out, before it is written down. */
import type { Plot } from "./plot.ts";

export type Cell = string | number;

export interface Table {
  readonly title: string;
  /** The first names what stands in a row. */
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

/** What is to be reached, and whether it was. */
export interface Goal {
  /** By which `where-time-goes.ts` knows it. */
  readonly id: string;
  readonly text: string;
  /** What was measured, in words. */
  readonly figure: string;
  readonly reached: boolean;
}

export interface Section {
  readonly title: string;
  /** What was done, and how to read it: Markdown. */
  readonly about: string;
  readonly tables: readonly Table[];
  readonly plots?: readonly Plot[];
  readonly goals: readonly Goal[];
}

/** A figure as a reader wants it: three digits that count. */
export function show(figure: number): string {
  if (!Number.isFinite(figure)) return "-";
  if (figure === 0) return "0";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(figure))));
  return figure.toLocaleString("en-US", { maximumFractionDigits: Math.min(digits, 4) });
}
