/** A list of any length. Only its visible rows are in the document. */
import type { ComponentChildren, RefObject } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { useSize } from "./hooks.ts";

/** How many rows beyond the edges are rendered, so that scrolling shows no blanks. */
const BEYOND = 8;
const ACTIVE = "aria-activedescendant";

export interface VirtualProps {
  readonly count: number;
  /** In CSS pixels. */
  readonly rowHeight: number;
  readonly row: (index: number) => ComponentChildren;
  readonly scroller: RefObject<HTMLDivElement | null>;
  /** How many rows were added at the top since the last time: a reader further down keeps the place. */
  readonly cameAtTop?: number;
  /** The index and the id of the active row. The scroller names it while it is in the document. */
  readonly active?: { readonly index: number; readonly id: string };
}

/** Belongs into the element that scrolls, which `scroller` names. */
export function Virtual({ count, rowHeight, row, scroller, cameAtTop = 0, active }: VirtualProps) {
  const [, height] = useSize(scroller);
  const [top, setTop] = useState(0);
  const came = useRef(cameAtTop);
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null) return undefined;
    const scrolled = (): void => setTop(element.scrollTop);
    element.addEventListener("scroll", scrolled, { passive: true });
    return () => element.removeEventListener("scroll", scrolled);
  }, [scroller]);
  useLayoutEffect(() => {
    const more = cameAtTop - came.current;
    came.current = cameAtTop;
    if (more > 0 && scroller.current !== null && scroller.current.scrollTop > 0) {
      scroller.current.scrollTop += more * rowHeight;
    }
  }, [cameAtTop, rowHeight, scroller]);
  const first = Math.max(0, Math.min(count, Math.floor(top / rowHeight)) - BEYOND);
  const last = Math.min(count, Math.ceil((top + height) / rowHeight) + BEYOND);
  const activeId =
    active !== undefined && active.index >= first && active.index < last ? active.id : undefined;
  useLayoutEffect(() => {
    if (activeId === undefined) scroller.current?.removeAttribute(ACTIVE);
    else scroller.current?.setAttribute(ACTIVE, activeId);
  }, [activeId, scroller]);
  const rows: ComponentChildren[] = [];
  for (let index = first; index < last; index++) rows.push(row(index));
  return (
    <div class="virtual" role="presentation" style={{ height: `${count * rowHeight}px` }}>
      <div role="presentation" style={{ transform: `translateY(${first * rowHeight}px)` }}>
        {rows}
      </div>
    </div>
  );
}

/** Scrolls so that the row is visible, below the sticky head of `headHeight` CSS pixels. */
export function reveal(
  scroller: HTMLElement | null,
  index: number,
  rowHeight: number,
  headHeight: number,
): void {
  if (scroller === null) return;
  const top = index * rowHeight;
  const room = scroller.clientHeight - headHeight - rowHeight;
  scroller.scrollTop = Math.max(Math.min(scroller.scrollTop, top), top - room);
}
