import type { Finding } from "../core/store.ts";

/** So many old records are counted at most: whether there are a thousand or a million, the advice is the same. */
export const OLD_MAX = 1000;

/** What a store tells of its storage: how many bytes it takes, where it may know that, and how many records are old. */
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
