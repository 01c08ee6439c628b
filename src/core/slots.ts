/**
 * Slot arithmetic. A slot is an interval of one period of the store's clock:
 *
 *     slot = floor(time / period) + offset
 *
 * `offset` is part of the namespace's config. It is raised when the store's clock steps back, so that slot numbers
 * never go back. A *position* is a time measured in slots: 12.5 is the middle of slot 12.
 */
export type Slot = number;

/** @internal How slots of a namespace relate to the store's time. */
export interface SlotScale {
  readonly periodMs: number;
  /** Added to `floor(time / period)`: 0 until the store's clock has stepped back. */
  readonly offset: number;
}

/** @internal The position of the store's time `ms`. */
export function positionAt(scale: SlotScale, ms: number): number {
  return ms / scale.periodMs + scale.offset;
}

/** @internal The slot of the store's time `ms`. */
export function slotAt(scale: SlotScale, ms: number): Slot {
  return Math.floor(positionAt(scale, ms));
}

/** @internal The current slot, and how many slots back are kept. */
export interface Retained {
  readonly time: { readonly slot: Slot };
  readonly retentionSlots: number;
}

/** @internal The oldest slot that is kept. */
export function oldestRetained({ time, retentionSlots }: Retained): Slot {
  return time.slot - retentionSlots;
}

/** @internal The store's time, in milliseconds, at a position. */
export function timeAt(scale: SlotScale, position: number): number {
  return (position - scale.offset) * scale.periodMs;
}
