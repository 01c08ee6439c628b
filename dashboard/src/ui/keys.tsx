import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Address } from "../address.ts";
import { formatAge, formatMeta, formatMoment, formatNumber, formatProcess, printable } from "../format.ts";
import type { Key, Show, Sort } from "../model/keys.ts";
import type { Model } from "../model/model.ts";
import type { Go } from "./hooks.ts";
import { Dot, Lens } from "./marks.tsx";
import { reveal, Virtual } from "./virtual.tsx";

export interface PartProps {
  readonly model: Model;
  readonly address: Address;
  readonly go: Go;
  readonly narrow?: boolean;
}

const SHOWS: readonly Show[] = ["alive", "dead", "all"];
/** As in the style sheet. */
const ROW_HEIGHT = 28;
const ROW_HEIGHT_NARROW = 52;

export function KeysPanel(props: PartProps & { readonly search: RefObject<HTMLInputElement | null> }) {
  const { model, address, go, search } = props;
  const { query, show } = address;
  const list = model.keys.list(address);
  const counts = { alive: model.keys.alive, dead: model.keys.dead, all: model.keys.alive + model.keys.dead };
  const grid = useRef<HTMLDivElement>(null);
  return (
    <section class="panel keys" aria-labelledby="keys-title">
      <div class="panel-head">
        <h2 id="keys-title">Keys</h2>
        <label class="search">
          <span class="hidden">Search keys, hosts and metas</span>
          <Lens />
          <input
            ref={search}
            type="search"
            placeholder="Search keys, hosts, metas"
            value={query}
            spellcheck={false}
            autocomplete="off"
            onInput={({ currentTarget }) => go({ query: currentTarget.value })}
            onKeyDown={(event) => {
              if (event.key === "Escape") {
                go({ query: "" });
                event.currentTarget.blur();
              } else if (event.key === "ArrowDown" || event.key === "Enter") {
                event.preventDefault();
                grid.current?.focus();
              }
            }}
          />
          <kbd aria-hidden="true">/</kbd>
        </label>
        <fieldset class="shows">
          <legend class="hidden">Which keys</legend>
          {SHOWS.map((each) => (
            <label key={each} class={each === show ? "chosen" : ""}>
              <input type="radio" name="show" checked={each === show} onChange={() => go({ show: each })} />
              {each} <span class="count">{formatNumber(counts[each])}</span>
            </label>
          ))}
        </fieldset>
      </div>
      <KeyGrid {...props} list={list} grid={grid} />
    </section>
  );
}

interface GridProps extends PartProps {
  readonly list: readonly Key[];
  readonly grid: RefObject<HTMLDivElement | null>;
}

function KeyGrid({ model, address, go, narrow = false, list, grid }: GridProps) {
  const rowHeight = narrow ? ROW_HEIGHT_NARROW : ROW_HEIGHT;
  const [chosen, choose] = useState<string | undefined>(address.key);
  useEffect(() => choose((before) => address.key ?? before), [address.key]);
  const at = chosen === undefined ? -1 : list.findIndex(({ key }) => key === chosen);
  const move = (to: number): void => {
    const index = Math.max(0, Math.min(list.length - 1, to));
    choose(list[index]?.key);
    reveal(grid.current, index, rowHeight, narrow ? 0 : ROW_HEIGHT);
  };
  const page = Math.max(1, Math.floor((grid.current?.clientHeight ?? 0) / rowHeight) - 1);
  const steps: Readonly<Record<string, number>> = {
    ArrowDown: at + 1,
    ArrowUp: at - 1,
    PageDown: at + page,
    PageUp: at - page,
    Home: 0,
    End: list.length - 1,
  };
  const press = (event: KeyboardEvent): void => {
    const to = steps[event.key];
    if (to !== undefined && list.length > 0) {
      event.preventDefault();
      move(to);
    } else if (event.key === "Enter" && at >= 0) go({ key: chosen });
  };
  const { now } = model;
  const header = (sort: Sort, title: string, className: string) => (
    <span role="columnheader" class={className} aria-sort={address.sort === sort ? sorted(sort) : "none"}>
      <button type="button" tabIndex={-1} onClick={() => go({ sort })} title={`Sort by ${title}`}>
        {title}
        <span aria-hidden="true">{address.sort === sort ? (sort === "key" ? " ↑" : " ↓") : ""}</span>
      </button>
    </span>
  );
  return (
    <div
      class="grid"
      role="grid"
      aria-label="Keys"
      aria-rowcount={list.length + 1}
      aria-colcount={5}
      aria-busy={model.loading !== undefined}
      tabIndex={0}
      ref={grid}
      onKeyDown={press}
      onFocus={() => {
        if (at < 0 && list.length > 0) choose(list[0]?.key);
      }}
    >
      <div class="row head" role="row" aria-rowindex={1}>
        <span role="columnheader" class="cell state">
          State
        </span>
        {header("key", "Key", "cell name")}
        {header("since", "Since", "cell since")}
        <span role="columnheader" class="cell holders">
          Holders
        </span>
        <span role="columnheader" class="cell meta">
          Meta
        </span>
      </div>
      <Virtual
        count={list.length}
        rowHeight={rowHeight}
        scroller={grid}
        {...(at >= 0 ? { active: { index: at, id: `row-${at}` } } : {})}
        row={(index) => {
          const key = list[index];
          if (key === undefined) return null;
          return (
            <KeyRow
              key={index}
              row={key}
              index={index}
              now={now}
              chosen={key.key === chosen}
              open={key.key === address.key}
              choose={() => {
                choose(key.key);
                go({ key: key.key });
              }}
            />
          );
        }}
      />
      {list.length === 0 && <Nothing model={model} address={address} />}
    </div>
  );
}

interface RowProps {
  readonly row: Key;
  readonly index: number;
  readonly now: number;
  readonly chosen: boolean;
  readonly open: boolean;
  readonly choose: () => void;
}

function KeyRow({ row, index, now, chosen, open, choose }: RowProps) {
  const { key, alive, sinceMs, cause, last } = row;
  const holders = alive ? row.holders : last;
  const [first] = holders;
  const names = ["row", alive ? "alive" : "dead", chosen ? "chosen" : "", open ? "open" : ""].filter(Boolean);
  // oxlint-disable-next-line jsx-a11y/click-events-have-key-events -- the grid has the keyboard
  return (
    <div
      class={names.join(" ")}
      role="row"
      id={`row-${index}`}
      aria-rowindex={index + 2}
      aria-selected={chosen}
      onClick={choose}
    >
      <span role="gridcell" class="cell state">
        <Dot alive={alive} />
        {alive ? "alive" : wordFor(cause)}
      </span>
      <span role="gridcell" class="cell name" title={printable(key)}>
        {printable(key)}
      </span>
      <span role="gridcell" class="cell since" title={formatMoment(sinceMs)}>
        <time dateTime={new Date(sinceMs).toISOString()}>{formatAge(now - sinceMs)}</time>
      </span>
      <span role="gridcell" class="cell holders">
        {first === undefined ? "" : formatProcess(first)}
        {holders.length > 1 && <b> +{holders.length - 1}</b>}
      </span>
      <span role="gridcell" class="cell meta">
        {first === undefined ? "" : formatMeta(first.meta)}
      </span>
    </div>
  );
}

function Nothing({ model, address }: Pick<PartProps, "model" | "address">) {
  const { loading, hello, link } = model;
  const of = address.show === "all" ? "" : `${address.show} `;
  if (hello === undefined || link.state === "connecting") return <p class="nothing">Connecting…</p>;
  if (loading !== undefined)
    return <p class="nothing">Loading {loading > 0 && formatNumber(loading)} keys…</p>;
  if (address.query !== "")
    return (
      <p class="nothing">
        No {of}key matches “{address.query}”.
      </p>
    );
  return (
    <>
      <p class="nothing">No {of}keys.</p>
      {model.keys.alive + model.keys.dead === 0 && (
        <p class="nothing">
          Keys come in here as soon as a program holds one: <code>heartbit run worker-1 -- sleep 60</code>
        </p>
      )}
    </>
  );
}

/** How a dead key died, if that is known. */
function wordFor(cause: Key["cause"]): string {
  return cause === "stopped" || cause === "killed" || cause === "expired" ? cause : "dead";
}

function sorted(sort: Sort): "ascending" | "descending" {
  return sort === "key" ? "ascending" : "descending";
}
