/** A section as Markdown. */
import type { Goal, Section, Table } from "./section.ts";
import { whereTimeGoes } from "./where-time-goes.ts";

/** `plotFolder`: where the plots lie, seen from the report. */
export function markdownOf(section: Section, plotFolder = "plots"): string {
  const { title, about, tables, plots = [], goals } = section;
  return [
    `## ${title}`,
    about,
    ...tables.map(tableOf),
    ...plots.map((plot) => `![${plot.title}](${plotFolder}/${plot.name}.svg)`),
    ...(goals.length === 0 ? [] : [goals.map(goalOf).join("\n")]),
    "",
  ].join("\n\n");
}

function tableOf({ title, columns, rows }: Table): string {
  const alignment = columns.map((_, index) => (index === 0 ? "---" : "---:"));
  return [`**${title}**\n`, row(columns), row(alignment), ...rows.map(row)].join("\n");
}

function row(cells: readonly (string | number)[]): string {
  return `| ${cells.join(" | ")} |`;
}

function goalOf({ id, text, figure, reached }: Goal): string {
  const why = reached ? undefined : whereTimeGoes[id];
  return `- ${reached ? "Reached" : "**Not reached**"}: ${text}. Measured: ${figure}.${why === undefined ? "" : ` ${why}`}`;
}
