/** Plots with two logarithmic axes, as SVG: figures against sizes, with the law that fits them. */
import { fitPowerLaw } from "../measure/quantiles.ts";

export interface Series {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface Plot {
  /** The file's name, without `.svg`. */
  readonly name: string;
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly Series[];
}

const WIDTH = 720;
const HEIGHT = 420;
const LEFT = 80;
const RIGHT = 230;
const TOP = 44;
const BOTTOM = 52;
/** Told apart by those who see no colours by their place in the legend, which is that of the lines' ends. */
const COLOURS = ["#0b6e99", "#c4553b", "#5b8c2a", "#7d4fa3", "#a57c00", "#4a4a4a", "#c2187a"];

export function svgOf({ title, x, y, series }: Plot): string {
  const points = series.flatMap((one) => one.points).filter(isPlottable);
  const across = scaleOf(
    points.map((point) => point.x),
    LEFT,
    WIDTH - RIGHT,
  );
  const up = scaleOf(
    points.map((point) => point.y),
    HEIGHT - BOTTOM,
    TOP,
  );
  const parts = [
    text(LEFT, 24, title, 'font-size="15" font-weight="600"'),
    ...across.decades.flatMap((value) => [
      line(across.at(value), TOP, across.at(value), HEIGHT - BOTTOM, "#ddd"),
      text(across.at(value), HEIGHT - BOTTOM + 18, short(value), 'text-anchor="middle"'),
    ]),
    ...up.decades.flatMap((value) => [
      line(LEFT, up.at(value), WIDTH - RIGHT, up.at(value), "#ddd"),
      text(LEFT - 8, up.at(value) + 4, short(value), 'text-anchor="end"'),
    ]),
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x, 'text-anchor="middle"'),
    `<text transform="translate(18 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${escape(y)}</text>`,
    ...series.flatMap((one, index) => curve(one, index, across.at, up.at)),
  ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escape(title)}" font-family="system-ui, sans-serif" font-size="12" fill="#222">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

interface Scale {
  readonly at: (value: number) => number;
  readonly decades: readonly number[];
}

function scaleOf(values: readonly number[], from: number, to: number): Scale {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))));
  return {
    at: (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from),
    decades: Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index)),
  };
}

function curve(
  { name, points }: Series,
  index: number,
  across: (value: number) => number,
  up: (value: number) => number,
): string[] {
  const colour = COLOURS[index % COLOURS.length]!;
  const shown = points.filter(isPlottable);
  const path = shown.map((point) => `${fixed(across(point.x))},${fixed(up(point.y))}`).join(" ");
  const exponent =
    shown.length > 2 ? fitPowerLaw(shown).exponent.toFixed(2).replace("-0.00", "0.00") : undefined;
  const law = exponent === undefined ? "" : `, n^${exponent}`;
  const legendY = TOP + 14 + index * 20;
  return [
    `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`,
    ...shown.map(
      (point) =>
        `<circle cx="${fixed(across(point.x))}" cy="${fixed(up(point.y))}" r="3.5" fill="${colour}"/>`,
    ),
    line(WIDTH - RIGHT + 14, legendY - 4, WIDTH - RIGHT + 34, legendY - 4, colour, 2),
    text(WIDTH - RIGHT + 40, legendY, `${name}${law}`),
  ];
}

function isPlottable({ x, y }: { readonly x: number; readonly y: number }): boolean {
  return x > 0 && y > 0 && Number.isFinite(y);
}

function line(x1: number, y1: number, x2: number, y2: number, colour: string, width = 1): string {
  return `<line x1="${fixed(x1)}" y1="${fixed(y1)}" x2="${fixed(x2)}" y2="${fixed(y2)}" stroke="${colour}" stroke-width="${width}"/>`;
}

function text(x: number, y: number, content: string, attributes = ""): string {
  return `<text x="${fixed(x)}" y="${fixed(y)}" ${attributes}>${escape(content)}</text>`;
}

function fixed(value: number): string {
  return value.toFixed(1);
}

function short(value: number): string {
  if (value >= 1e6) return `${value / 1e6}M`;
  if (value >= 1000) return `${value / 1000}k`;
  return value.toLocaleString("en-US", { maximumFractionDigits: 6 });
}

function escape(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
