/** Plots: lines over minutes, as SVG that GitHub shows. */
import type { Series } from "./samples.ts";

const [WIDTH, HEIGHT] = [760, 300];
const MARGIN = { left: 60, right: 30, top: 40, bottom: 62 };
/** Told apart by who sees no colours by their order in the legend and by their dashes. */
const LINES = [
  ["#1b6ca8", ""],
  ["#b5521b", "6 3"],
  ["#2e7d4f", "2 3"],
  ["#7a3b8f", "9 3 2 3"],
] as const;
const TICKS = 5;

/** At most four series of one unit. */
export function plot(title: string, series: readonly Series[]): string {
  const minutes = series.flatMap(({ points }) => points.map(([minute]) => minute));
  const values = series.flatMap(({ points }) => points.map(([, value]) => value));
  const [xMax, yMax] = [Math.max(...minutes, 1), niceMax(Math.max(...values, 1))];
  const x = (minute: number): number => MARGIN.left + (minute / xMax) * (WIDTH - MARGIN.left - MARGIN.right);
  const y = (value: number): number =>
    HEIGHT - MARGIN.bottom - (value / yMax) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const text = (atX: number, atY: number, anchor: string, words: string): string =>
    `<text x="${fixed(atX)}" y="${fixed(atY)}" text-anchor="${anchor}">${escape(words)}</text>`;
  const ticks = Array.from({ length: TICKS + 1 }, (_, i) => i / TICKS);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" font-family="sans-serif" font-size="12" fill="#333">`,
    `<title>${escape(title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    `<text x="${MARGIN.left}" y="22" font-size="15">${escape(title)}</text>`,
    ...ticks.flatMap((part) => [
      `<path d="M${MARGIN.left} ${fixed(y(part * yMax))}H${WIDTH - MARGIN.right}" stroke="#ddd"/>`,
      text(MARGIN.left - 8, y(part * yMax) + 4, "end", short(part * yMax)),
      text(x(part * xMax), HEIGHT - MARGIN.bottom + 18, "middle", `${short(part * xMax)} min`),
    ]),
    ...series.flatMap(({ name, points }, index) => {
      const [colour, dashes] = LINES[index % LINES.length] ?? LINES[0];
      const stroke = `stroke="${colour}" stroke-width="1.5" stroke-dasharray="${dashes}" fill="none"`;
      const path = points.map(([minute, value]) => `${fixed(x(minute))} ${fixed(y(value))}`).join("L");
      const left = MARGIN.left + index * ((WIDTH - MARGIN.left) / series.length);
      return [
        `<path d="M${path}" ${stroke}/>`,
        `<path d="M${fixed(left)} ${HEIGHT - 18}h24" ${stroke}/>`,
        text(left + 30, HEIGHT - 14, "start", name),
      ];
    }),
    "</svg>",
  ];
  return `${parts.join("\n")}\n`;
}

/** A round number that is not below the value. */
function niceMax(value: number): number {
  const unit = 10 ** Math.floor(Math.log10(value));
  return ([1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((factor) => factor * unit >= value * 1.05) ?? 15) * unit;
}

function short(value: number): string {
  return value.toLocaleString("en", { maximumFractionDigits: 1 });
}

function fixed(value: number): string {
  return value.toFixed(1);
}

function escape(words: string): string {
  return words.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
