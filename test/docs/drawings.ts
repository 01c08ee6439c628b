/**
 * The drawings of the docs, as SVG. Their evaluations come from the rule itself, not from the hand that drew.
 * `UPDATE=1 npx vitest run test/docs/drawings.test.ts` writes them.
 */
import { isAliveAt, evaluationSlot, latestComplete } from "../../src/core/alive.ts";
import { line, rect, round, svg, text } from "./svg.ts";

/** When a process pings: positions, in slots. */
interface Process {
  readonly name: string;
  readonly pings: readonly number[];
  readonly crash?: number;
}

interface Chart {
  readonly title: string;
  readonly from: number;
  readonly to: number;
  readonly processes: readonly Process[];
  /** When the store was away: positions. */
  readonly outage?: readonly [number, number];
  /** Shows the evaluations in these slots, below. */
  readonly evaluated?: readonly number[];
}

const LEFT = 110;
const SLOT = 92;
const ROW = 40;
const TOP = 52;

export const drawings: Readonly<Record<string, Chart>> = {
  slots: {
    title: "Three processes ping once in each slot; one has crashed",
    from: 40,
    to: 47,
    processes: [
      { name: "process 1", pings: steady(40, 47, 1) },
      { name: "process 2", pings: steady(40, 47, 2) },
      { name: "process 3", pings: steady(40, 43, 3), crash: 43.7 },
    ],
  },
  rule: {
    title: "A process that crashes is reported dead 2.5 periods after the start of its last slot",
    from: 41,
    to: 46,
    processes: [
      { name: "process 1", pings: steady(41, 46, 1) },
      { name: "process 2", pings: steady(41, 43, 2), crash: 43.7 },
    ],
    evaluated: [42, 43, 44, 45],
  },
  outage: {
    title:
      "An outage causes no deaths; a process that crashed in it is reported dead when three slots have pings again",
    from: 40,
    to: 49,
    processes: [
      { name: "process 1", pings: [...steady(40, 42, 1), ...steady(46, 49, 1)] },
      { name: "process 2", pings: steady(40, 42, 2), crash: 44.5 },
    ],
    outage: [42.9, 46.1],
    evaluated: [41, 42, 43, 44, 45, 46, 47, 48],
  },
};

/** A ping in each slot, at some moment from 10 % to 40 % of it. */
function steady(from: number, to: number, seed: number): number[] {
  const pings: number[] = [];
  for (let slot = from; slot <= to; slot++)
    pings.push(slot + 0.1 + 0.3 * (((slot * 7 + seed * 5) % 11) / 10));
  return pings;
}

export function draw(chart: Chart): string {
  const { title, from, to, processes } = chart;
  const below = chart.evaluated === undefined ? 0 : ROW * (processes.length + 2);
  const width = LEFT + (to - from + 1) * SLOT + 20;
  const height = TOP + processes.length * ROW + below + 30;
  const x = (position: number): number => round(LEFT + (position - from) * SLOT);
  const parts = [slots, outage, lives, evaluations].flatMap((part) => part(chart, x));
  return svg(title, width, height, parts);
}

/** Where a position is, in the drawing. */
type Scale = (position: number) => number;

function slots({ from, to, processes }: Chart, x: Scale): string[] {
  const bottom = TOP + processes.length * ROW;
  const parts = [text(LEFT - 12, 24, "slot", "small", "end")];
  for (let slot = from; slot <= to; slot++) {
    parts.push(text(x(slot + 0.5), 24, `${slot}`, "small"));
    if (!isPinged(processes, slot)) parts.push(rect(x(slot), TOP - 14, SLOT, bottom - TOP + 14, "empty"));
  }
  for (let slot = from; slot <= to + 1; slot++) parts.push(line(x(slot), TOP - 14, bottom, "line"));
  return parts;
}

function outage({ processes, outage: span }: Chart, x: Scale): string[] {
  if (span === undefined) return [];
  const [left, right] = [x(span[0]), x(span[1])];
  return [
    rect(left, TOP - 14, right - left, processes.length * ROW + 14, "outage"),
    text((left + right) / 2, TOP + 2, "the store is away", "small"),
  ];
}

function lives({ to, processes }: Chart, x: Scale): string[] {
  return processes.flatMap(({ name, pings, crash }, row) => {
    const y = TOP + row * ROW + ROW / 2;
    const end = x(crash ?? to + 1);
    const cross = `M${end - 6} ${y - 6}l12 12m0 -12l-12 12`;
    return [
      text(LEFT - 12, y + 5, name, "", "end"),
      `<path class="line" d="M${LEFT} ${y}H${end}"/>`,
      ...pings.map((position) => `<circle class="ping" cx="${x(position)}" cy="${y}" r="7"/>`),
      ...(crash === undefined ? [] : [`<path class="crash" d="${cross}"/>`]),
      ...(crash === undefined ? [] : [text(end + 14, y + 5, "crash", "small", "start")]),
    ];
  });
}

/** Below: for each evaluation slot `j`, `g`, and which processes are alive by the rule. */
function evaluations({ from, processes, evaluated = [] }: Chart, x: Scale): string[] {
  if (evaluated.length === 0) return [];
  const top = TOP + processes.length * ROW + 14;
  const labels = ["evaluation: j", "g", ...processes.map(({ name }) => name)];
  const parts = labels.map((label, row) => text(LEFT - 12, top + row * ROW + 25, label, "small", "end"));
  for (const slot of evaluated) {
    const position = slot + 0.5;
    const j = evaluationSlot(position);
    const g = latestComplete(j, from, (one) => !isPinged(processes, one, position));
    const centre = x(position);
    parts.push(line(centre, TOP - 14, top + 8, "half"));
    parts.push(text(centre, top + 25, `${j}`, ""), text(centre, top + ROW + 25, `${g}`, ""));
    for (const [row, { pings }] of processes.entries()) {
      const last = Math.max(...pings.filter((ping) => ping <= position).map(Math.floor));
      const state = isAliveAt(last, g) ? "alive" : "dead";
      parts.push(text(centre, top + (row + 2) * ROW + 25, state, state));
    }
  }
  return parts;
}

/** Whether a process has pinged in the slot, by the position. */
function isPinged(processes: readonly Process[], slot: number, by = Infinity): boolean {
  return processes.some(({ pings }) => pings.some((ping) => ping <= by && Math.floor(ping) === slot));
}
