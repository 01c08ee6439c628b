import { useRef } from "preact/hooks";
import { formatClock, formatMoment, formatNumber, printable } from "../format.ts";
import type { Change } from "../model/keys.ts";
import type { PartProps } from "./keys.tsx";
import { Virtual } from "./virtual.tsx";

const ROW_HEIGHT = 28;

export function ChangesPanel({ model, go }: PartProps) {
  const { changes } = model;
  const list = useRef<HTMLDivElement>(null);
  return (
    <section class="panel changes" aria-labelledby="changes-title">
      <div class="panel-head">
        <h2 id="changes-title">Changes</h2>
        <span class="aside">{changes.length > 0 && `the latest ${formatNumber(changes.length)}`}</span>
      </div>
      {/* The list is long and changes all the time: a screen reader reads it on request, not as it changes. */}
      <div class="list" ref={list} role="list" aria-label="Changes, the latest first" tabIndex={0}>
        <Virtual
          count={changes.length}
          rowHeight={ROW_HEIGHT}
          scroller={list}
          cameAtTop={changes.at(-1)?.id ?? 0}
          row={(index) => {
            const change = changes.at(-1 - index);
            return change === undefined ? null : (
              <ChangeRow key={change.id} change={change} open={() => go({ key: change.key })} />
            );
          }}
        />
        {changes.length === 0 && (
          <p class="nothing" role="listitem">
            Nothing has changed yet. Changes appear here as they are reported.
          </p>
        )}
      </div>
    </section>
  );
}

function ChangeRow({ change, open }: { readonly change: Change; readonly open: () => void }) {
  const { key, atMs, cause, alive } = change;
  return (
    <div class="change" role="listitem">
      <time dateTime={new Date(atMs).toISOString()} title={formatMoment(atMs)}>
        {formatClock(atMs)}
      </time>
      <CauseWord cause={cause} alive={alive} />
      <button type="button" class="link" onClick={open} title={printable(key)}>
        {printable(key)}
      </button>
    </div>
  );
}

export function CauseWord({ cause, alive }: Pick<Change, "cause" | "alive">) {
  return (
    <span class={`cause ${cause} ${alive ? "alive" : "dead"}`}>
      {cause}
      <span class="hidden">{alive ? ", alive" : ", dead"}</span>
    </span>
  );
}
