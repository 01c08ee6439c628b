/** Plots: lines over minutes. */
import type { Sample } from "./samples.ts";

const [WIDTH, HEIGHT] = [760, 300];
const [LEFT, RIGHT, TOP, BOTTOM] = [60, WIDTH - 30, 40, HEIGHT - 62];
/** Told apart by who sees no colours by their order in the legend and by their dashes. */
const LINES = [
  ["#1b6ca8", ""],
  ["#b5521b", "6 3"],
  ["#2e7d4f", "2 3"],
  ["#7a3b8f", "9 3 2 3"],
] as const;
const STYLE = `
    text { font: 14px system-ui, sans-serif; fill: #1f2328; }
    .small { font-size: 12px; fill: #59636e; }
    .line { stroke: #d1d9e0; fill: none; }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc; }
      .small { fill: #9198a1; }
      .line { stroke: #3d444d; }
    }
  `;
const TICKS = [0, 0.2, 0.4, 0.6, 0.8, 1];

/** At most four quantities of one unit. */
export function plot(title: string, names: readonly string[], samples: readonly Sample[]): string {
  const of = (name: string): number[] => samples.map(({ values }) => values[name] ?? 0);
  const [xMax, yMax] = [samples.at(-1)?.minute ?? 1, Math.max(1, ...names.flatMap(of)) * 1.1];
  const x = (minute: number): number => round(LEFT + (minute / xMax) * (RIGHT - LEFT));
  const y = (value: number): number => round(BOTTOM - (value / yMax) * (BOTTOM - TOP));
  const parts = [
    text(LEFT, 22, title, "", "start"),
    ...TICKS.flatMap((part) => [
      `<path class="line" d="M${LEFT} ${y(part * yMax)}H${RIGHT}"/>`,
      text(LEFT - 8, y(part * yMax) + 4, String(round(part * yMax)), "small", "end"),
      text(x(part * xMax), BOTTOM + 18, `${round(part * xMax)} min`, "small"),
    ]),
    ...names.flatMap((name, index) => {
      const [colour, dashes] = LINES[index % LINES.length] ?? LINES[0];
      const stroke = `fill="none" stroke="${colour}" stroke-width="1.5" stroke-dasharray="${dashes}"`;
      const points = of(name).map((value, i) => `${x(samples[i]?.minute ?? 0)} ${y(value)}`);
      const left = LEFT + index * ((WIDTH - LEFT) / names.length);
      return [
        `<path d="M${points.join("L")}" ${stroke}/>`,
        `<path d="M${round(left)} ${HEIGHT - 18}h24" ${stroke}/>`,
        text(left + 30, HEIGHT - 14, name, "small", "start"),
      ];
    }),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img">
  <title>${title}</title>
  <style>${STYLE}</style>
${parts.map((part) => `  ${part}`).join("\n")}
</svg>
`;
}

const round = (value: number): number => Math.round(value * 10) / 10;

function text(at: number, y: number, content: string, kind: string, anchor = "middle"): string {
  return `<text x="${round(at)}" y="${y}" text-anchor="${anchor}"${kind && ` class="${kind}"`}>${content}</text>`;
}
