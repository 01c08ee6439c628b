/** A section as Markdown. */
import type { Goal, Section, Table } from "./section.ts";
import { whereTimeGoes } from "./where-time-goes.ts";

/** Without its goals: they stand at the top of the report. */
export function markdownOf({ title, about, tables, plots = [] }: Section): string {
  return [
    `## ${title}`,
    about,
    ...tables.map(tableOf),
    ...plots.map((plot) => `![${plot.title}](plots/${plot.name}.svg)`),
    "",
  ].join("\n\n");
}

/** A goal as an item of a list, with where the time goes when it is not reached. */
export function goalOf({ id, text, figure, reached }: Goal): string {
  const why = reached ? undefined : whereTimeGoes[id];
  const because = why === undefined ? "" : ` ${why}`;
  return `- ${reached ? "Reached" : "**Not reached**"}: ${text}. Measured: ${figure}.${because}`;
}

function tableOf({ title, columns, rows }: Table): string {
  const alignment = columns.map((_, index) => (index === 0 ? "---" : "---:"));
  return [`**${title}**\n`, row(columns), row(alignment), ...rows.map(row)].join("\n");
}

function row(cells: readonly (string | number)[]): string {
  return `| ${cells.join(" | ")} |`;
}

const COLUMNS = 120;

/** The text with its lines broken at 120 columns, except tables, pictures and code. */
export function wrapped(text: string): string {
  if (text.startsWith("```")) return text;
  return text
    .split("\n")
    .flatMap((line) => (/^(?:\||!\[|#)/.test(line) ? [line] : broken(line)))
    .join("\n");
}

function broken(line: string): string[] {
  const indent = line.startsWith("- ") ? "  " : "";
  const lines: string[] = [];
  let current = "";
  for (const word of line.split(" ")) {
    const longer = current === "" ? word : `${current} ${word}`;
    if (longer.length > COLUMNS && current.trim() !== "") {
      lines.push(current);
      current = indent + word;
    } else current = longer;
  }
  return [...lines, current];
}
