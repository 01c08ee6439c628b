import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { formatAge, formatClock, formatMoment, formatProcess, printable, printableLines } from "../format.ts";
import type { Change, Holder, Key } from "../model/keys.ts";
import type { Model } from "../model/model.ts";
import { CauseWord } from "./changes.tsx";
import { usePulse, useSize } from "./hooks.ts";
import type { PartProps } from "./keys.tsx";
import { Cross, Dot } from "./marks.tsx";
import { fit, isClean, Strip } from "./pulse.tsx";

/** How many changes of a key's history are in the document: the latest ones. */
const HISTORY_MAX = 200;

export function KeyPage({ model, name, go }: PartProps & { readonly name: string }) {
  usePulse(model);
  const key = model.keys.get(name);
  const title = useRef<HTMLHeadingElement>(null);
  useLayoutEffect(() => title.current?.focus({ preventScroll: true }), [name]);
  const history = model.changes
    .filter((change) => change.key === name)
    .slice(-HISTORY_MAX)
    .toReversed();
  return (
    <section class="panel key-page" aria-labelledby="key-title">
      <div class="panel-head">
        <h2 id="key-title" tabIndex={-1} ref={title}>
          {printable(name)}
        </h2>
        <button
          type="button"
          class="icon"
          aria-label="Close"
          title="Close (Escape)"
          onClick={() => go({ key: undefined })}
        >
          <Cross />
        </button>
      </div>
      <div class="list scroll" tabIndex={0} role="region" aria-label={`About ${printable(name)}`}>
        {key === undefined ? (
          <p class="nothing">
            {model.loading === undefined
              ? "This key is not known: it is dead, if it ever was alive."
              : "Loading…"}
          </p>
        ) : (
          <p class="about">
            <Dot alive={key.alive} />
            <strong>{key.alive ? "alive" : "dead"}</strong> for {formatAge(model.now - key.sinceMs)}, since{" "}
            <time dateTime={new Date(key.sinceMs).toISOString()}>{formatMoment(key.sinceMs)}</time>
            {!key.alive && key.cause !== undefined && `: ${key.cause}`}
          </p>
        )}
        {key !== undefined && <Holders model={model} of={key} />}
        <h3>History</h3>
        <History history={history} now={model.now} />
        {model.hello?.allowWrites === true && key?.alive === true && <KillButton model={model} name={name} />}
      </div>
    </section>
  );
}

/** The holders of the key. If it is dead, its last holders, with how their pings ended. */
function Holders({
  model,
  of: { alive, cause, holders, last },
}: {
  readonly model: Model;
  readonly of: Key;
}) {
  const shown = alive ? holders : last;
  if (shown.length === 0) return null;
  const [one, many] = alive ? ["Holder", "holders"] : ["Last holder", "last holders"];
  return (
    <>
      <h3>{shown.length === 1 ? one : `${shown.length} ${many}`}</h3>
      {shown.map((holder) => (
        <HolderCard key={holder.session} model={model} holder={holder} ended={!alive && isClean(cause)} />
      ))}
    </>
  );
}

interface HolderProps {
  readonly model: Model;
  readonly holder: Holder;
  /** It has ended cleanly, so it has missed no ping since. */
  readonly ended: boolean;
}

function HolderCard({ model, holder, ended }: HolderProps) {
  const { session, sinceMs, meta } = holder;
  const card = useRef<HTMLDivElement>(null);
  const [width] = useSize(card);
  const { count, cell } = fit(width);
  return (
    <div class="holder" ref={card}>
      <dl>
        <div>
          <dt>process</dt>
          <dd>{formatProcess(holder)}</dd>
        </div>
        <div>
          <dt>session</dt>
          <dd>{session}</dd>
        </div>
        <div>
          <dt>since</dt>
          <dd title={formatMoment(sinceMs)}>{formatClock(sinceMs)}</dd>
        </div>
      </dl>
      {width > 0 && <Strip cells={model.pulse.cells(session, count, ended)} cell={cell} />}
      {meta !== null && <pre>{printableLines(JSON.stringify(meta, null, 2))}</pre>}
    </div>
  );
}

function History({ history, now }: { readonly history: readonly Change[]; readonly now: number }) {
  if (history.length === 0) return <p class="nothing">No change lately.</p>;
  return (
    <ol class="history">
      {history.map((change) => (
        <li key={change.id}>
          <time dateTime={new Date(change.atMs).toISOString()} title={formatMoment(change.atMs)}>
            {formatClock(change.atMs)}
          </time>
          <CauseWord {...change} />
          <span class="by">{change.holders.map(formatProcess).join(", ")}</span>
          <span class="ago">{formatAge(now - change.atMs)} ago</span>
        </li>
      ))}
    </ol>
  );
}

/** Asks once more, because all watchers report a kill. */
function KillButton({ model, name }: { readonly model: Model; readonly name: string }) {
  const [step, set] = useState<"calm" | "sure?" | "killing">("calm");
  const [outcome, tell] = useState("");
  const kill = async (): Promise<void> => {
    set("killing");
    try {
      const ended = await model.kill(name);
      tell(`${ended} ${ended === 1 ? "holder" : "holders"} ended.`);
    } catch (error) {
      tell(error instanceof Error ? error.message : String(error));
    }
    set("calm");
  };
  if (step === "sure?") {
    return (
      <p class="kill">
        <button type="button" class="danger" onClick={() => void kill()}>
          Report it dead now
        </button>
        <button type="button" onClick={() => set("calm")}>
          Leave it
        </button>
      </p>
    );
  }
  return (
    <p class="kill">
      <button type="button" disabled={step === "killing"} onClick={() => set("sure?")}>
        Kill…
      </button>
      <span role="status">{outcome}</span>
    </p>
  );
}
