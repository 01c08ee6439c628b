/** The pulse: processes by slots, each ping a cell. A crash is a row that ends, an outage a column without cells. */
import { useRef } from "preact/hooks";
import { formatClock, formatNumber, formatProcess, printable } from "../format.ts";
import { type Model, PULSE_SLOTS } from "../model/model.ts";
import type { Cell, Pulse } from "../model/pulse.ts";
import { usePulse, useSize } from "./hooks.ts";
import type { PartProps } from "./keys.tsx";
import { Virtual } from "./virtual.tsx";

const ROW_HEIGHT = 17;
/** A cell with the gap after it, in CSS pixels. */
const CELL_MIN = 9;
const CELL_MAX = 22;
const TICK_EVERY = 10;

export function PulsePanel({ model, narrow = false }: PartProps) {
  usePulse(model);
  const { pulse } = model;
  const list = useRef<HTMLDivElement>(null);
  const [width] = useSize(list);
  const sessions = pulse.sessions();
  const label = narrow ? 118 : 232;
  const { count, cell } = fit(width - label);
  return (
    <section class="panel pulse" aria-labelledby="pulse-title">
      <div class="panel-head">
        <h2 id="pulse-title">Pulse</h2>
        <span class="aside">
          {formatNumber(sessions.length)} {sessions.length === 1 ? "process" : "processes"}, each ping a cell
          {pulse.latest?.error !== undefined && (
            <em class="bad"> · not read: {printable(pulse.latest.error)}</em>
          )}
        </span>
        <Legend />
      </div>
      <Axis pulse={pulse} count={count} cell={cell} label={label} />
      <div class="list" ref={list} role="list" aria-label="Processes and their pings" tabIndex={0}>
        <Virtual
          count={sessions.length}
          rowHeight={ROW_HEIGHT}
          scroller={list}
          row={(index) => {
            const session = sessions[index];
            return session === undefined ? null : (
              <PulseRow key={session} model={model} session={session} count={count} cell={cell} />
            );
          }}
        />
      </div>
    </section>
  );
}

/** As many slots as fit, with the latest at the right. */
export function fit(width: number): { readonly count: number; readonly cell: number } {
  const cell = Math.max(CELL_MIN, Math.min(CELL_MAX, Math.floor(width / 60)));
  return { cell, count: Math.max(1, Math.min(PULSE_SLOTS, Math.floor(width / cell))) };
}

function Legend() {
  const kinds: readonly (readonly [Cell, string])[] = [
    ["ping", "ping"],
    ["late", "late"],
    ["missed", "missed"],
    ["outage", "nobody pinged"],
  ];
  return (
    <ul class="legend" aria-label="What the cells mean">
      {kinds.map(([kind, word]) => (
        <li key={kind}>
          <svg width="9" height="16" aria-hidden="true">
            <path class={kind} d={shape(kind, 0, 11)} />
          </svg>
          {word}
        </li>
      ))}
    </ul>
  );
}

interface StripProps {
  readonly count: number;
  readonly cell: number;
}

/** The times at which slots began. */
function Axis({ pulse, count, cell, label }: StripProps & { readonly pulse: Pulse; readonly label: number }) {
  const { latest } = pulse;
  const ticks: { readonly at: number; readonly text: string }[] = [];
  if (latest !== undefined) {
    for (let at = count - 1; at >= 0; at--) {
      const slot = latest.slot - (count - 1 - at);
      const room = at * cell + 60 < count * cell;
      if (slot % TICK_EVERY === 0 && room)
        ticks.push({ at, text: formatClock(latest.slotMs - (latest.slot - slot) * latest.periodMs) });
    }
  }
  return (
    <div class="axis" aria-hidden="true" style={{ paddingLeft: `${label}px` }}>
      <svg width={count * cell} height="14">
        {ticks.map(({ at, text }) => (
          <g key={text}>
            <path d={`M${at * cell + 0.5} 4v10`} />
            <text x={at * cell + 4} y="10">
              {text}
            </text>
          </g>
        ))}
      </svg>
    </div>
  );
}

function PulseRow({
  model,
  session,
  count,
  cell,
}: StripProps & { readonly model: Model; readonly session: number }) {
  const { keys, pulse } = model;
  const process = keys.processes.get(session);
  const gone = pulse.process(session);
  const { host, pid } = process ?? gone ?? { host: "session", pid: session };
  const isOwn = session === pulse.latest?.own;
  const cells = pulse.cells(session, count, isClean(gone?.ended));
  const what = isOwn ? "this dashboard" : holding(process?.keys, gone?.ended);
  return (
    <div class={`beat ${process === undefined && !isOwn ? "gone" : ""}`} role="listitem">
      <span class="who" title={`${formatProcess({ host, pid })}, session ${session}`}>
        <span class="process">
          {printable(host)}:<b>{pid}</b>
        </span>
        <span class={gone?.ended === "expired" && process === undefined ? "what bad" : "what"}>{what}</span>
      </span>
      <Strip cells={cells} cell={cell} />
    </div>
  );
}

/** The cells of one process as a drawing, and in words. */
export function Strip({ cells, cell }: { readonly cells: readonly Cell[]; readonly cell: number }) {
  const many = (kind: Cell): number => cells.filter((each) => each === kind).length;
  const kinds = [...new Set(cells)].filter((kind) => kind !== "none");
  const words = `${many("ping") + many("late")} pings, ${many("late")} late, ${many("missed")} missed`;
  return (
    <svg class="strip" role="img" aria-label={words} width={cells.length * cell} height={ROW_HEIGHT}>
      {kinds.map((kind) => (
        <path
          key={kind}
          class={kind}
          d={cells.map((each, at) => (each === kind ? shape(kind, at * cell, cell) : "")).join("")}
        />
      ))}
    </svg>
  );
}

/** A cell at `x`: full for a ping, small for a missing one. */
function shape(kind: Cell, x: number, cell: number): string {
  const width = cell - 2;
  if (kind === "missed") return box(x + width / 2 - 2, 6, 4, 4, 1);
  if (kind === "outage") return box(x, 7.5, width, 1, 0);
  if (kind === "due") return box(x + 0.5, 3.5, width - 1, 9, 1.5);
  return box(x, 3, width, 10, 1.5);
}

function box(x: number, y: number, width: number, height: number, round: number): string {
  const [h, v, r] = [width - 2 * round, height - 2 * round, round];
  if (round === 0) return `M${x} ${y}h${width}v${height}h-${width}z`;
  const corner = (dx: number, dy: number): string => `a${r} ${r} 0 0 1 ${dx} ${dy}`;
  return `M${x + r} ${y}h${h}${corner(r, r)}v${v}${corner(-r, r)}h-${h}${corner(-r, -r)}v-${v}${corner(r, -r)}z`;
}

/** A session that stopped or closed has missed no ping since. */
export function isClean(ended: string | undefined): boolean {
  return ended === "stopped" || ended === "killed" || ended === "closed";
}

function holding(keys: number | undefined, ended: string | undefined): string {
  if (keys !== undefined) return `${formatNumber(keys)} ${keys === 1 ? "key" : "keys"}`;
  return ended ?? "no keys";
}
