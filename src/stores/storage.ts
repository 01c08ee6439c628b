import type { Finding } from "../core/store.ts";

/** At most this many old records are counted: the advice is the same for a thousand or a million. */
export const OLD_MAX = 1000;

/** The finding about a store's storage: how many bytes it takes, if known, and how many records are old. */
export function storageFinding({ bytes, old }: { readonly bytes?: number; readonly old: number }): Finding {
  const size = bytes === undefined ? "Its size is not known" : `It takes ${formatBytes(bytes)}`;
  if (old === 0) return { check: "storage", level: "ok", found: `${size}; nothing old is left in it.` };
  const many = `${old}${old >= OLD_MAX ? " or more" : ""} old records`;
  return {
    check: "storage",
    level: "warning",
    found: `${size}; it has ${many}, which should have been pruned long ago.`,
    advice:
      "Run `heartbit prune`. Presences that hold or watch prune by themselves, with the right to remove; with a longer retention than the default this may be as it should.",
  };
}

const UNITS = ["bytes", "KB", "MB", "GB", "TB"];

function formatBytes(bytes: number): string {
  const unit = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), UNITS.length - 1);
  return `${Number((bytes / 1000 ** unit).toPrecision(3))} ${UNITS[unit]}`;
}
