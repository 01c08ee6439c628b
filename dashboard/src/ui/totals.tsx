import { formatNumber, formatSpan } from "../format.ts";
import type { Model } from "../model/model.ts";

export function Totals({ model }: { readonly model: Model }) {
  const { hello, keys, loading } = model;
  if (hello === undefined) return <dl class="totals" />;
  const { periodMs, retentionMs } = hello;
  const value = (count: number): string => (loading === undefined ? formatNumber(count) : "…");
  return (
    <dl class="totals">
      <div class="total alive">
        <dt>alive</dt>
        <dd>{value(keys.alive)}</dd>
      </div>
      <div class="total dead">
        <dt>died in {formatSpan(retentionMs)}</dt>
        <dd>{value(keys.dead)}</dd>
      </div>
      <div class="total">
        <dt>{keys.processes.size === 1 ? "process" : "processes"}</dt>
        <dd>{value(keys.processes.size)}</dd>
      </div>
      <div class="total">
        <dt>period</dt>
        <dd>{formatSpan(periodMs)}</dd>
      </div>
      <div class="total wide-only">
        <dt>a crash is reported within</dt>
        <dd>{formatSpan(periodMs * 2.5)}</dd>
      </div>
    </dl>
  );
}
