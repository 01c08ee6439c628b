import { formatClock, printable } from "../format.ts";
import type { Model } from "../model/model.ts";

/** What to know before trusting what is shown. A screen reader reads it as it appears. */
export function Notices({ model }: { readonly model: Model }) {
  const { health, link } = model;
  return (
    <div role="alert" class="notices">
      {link.state === "lost" && (
        <p class="notice bad">
          <strong>Offline</strong> {link.reason} What you see is as of{" "}
          {formatClock(link.sinceMs + (model.now - Date.now()))}; trying again.
        </p>
      )}
      {link.state !== "lost" && health.state === "stale" && (
        <p class="notice caution">
          <strong>Stale</strong> {sentence(health.reason)} Joins and kills are reported; deaths by absence are
          held back
          {health.since !== undefined && ` since ${formatClock(Date.parse(health.since))}`}.
        </p>
      )}
      {health.state === "failed" && (
        <p class="notice bad">
          <strong>Failed</strong> {sentence(health.reason)} Nothing is known until it recovers; it keeps
          trying.
        </p>
      )}
    </div>
  );
}

function sentence(reason = "The reason is not known"): string {
  const text = printable(`${reason[0]?.toUpperCase() ?? ""}${reason.slice(1)}`);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
