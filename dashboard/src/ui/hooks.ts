import { useEffect, useLayoutEffect, useReducer, useRef, useState } from "preact/hooks";
import { type Address, readAddress, writeAddress } from "../address.ts";
import type { Model } from "../model/model.ts";

/** Renders again when the model has changed, and once a second, because ages are shown. */
export function useModel(model: Model): void {
  const [, draw] = useReducer<number, void>((count) => count + 1, 0);
  useLayoutEffect(() => model.listen(() => draw()), [model]);
  useEffect(() => {
    const timer = setInterval(() => draw(), 1000);
    return () => clearInterval(timer);
  }, []);
}

/** Keeps the pulse up to date while the component is mounted. */
export function usePulse(model: Model): void {
  useEffect(() => model.usePulse(), [model]);
}

export type Go = (to: Partial<Address>) => void;

export function useAddress(): [Address, Go] {
  const [address, set] = useState(readAddress);
  // Not the URL: a browser may refuse to write that so often, and this may be called again before it is rendered.
  const latest = useRef(address);
  const turn = (to: Address): void => set((latest.current = to));
  useLayoutEffect(() => {
    const read = (): void => turn(readAddress());
    addEventListener("popstate", read);
    return () => removeEventListener("popstate", read);
  }, []);
  const go: Go = (to) => {
    const before = latest.current;
    const next = { ...before, ...to };
    turn(next);
    writeAddress(next, next.key !== before.key || next.view !== before.view);
  };
  return [address, go];
}

/** Whether the window is so narrow that one part is shown at a time. */
export function useNarrow(): boolean {
  const [media] = useState(() => matchMedia("(max-width: 759px)"));
  const [narrow, set] = useState(media.matches);
  useLayoutEffect(() => {
    const turned = (): void => set(media.matches);
    media.addEventListener("change", turned);
    return () => media.removeEventListener("change", turned);
  }, [media]);
  return narrow;
}

/** The width and height of an element, in CSS pixels. */
export function useSize(element: {
  readonly current: Element | null;
}): readonly [width: number, height: number] {
  const [size, set] = useState<readonly [number, number]>([0, 0]);
  useLayoutEffect(() => {
    if (element.current === null) return undefined;
    const observer = new ResizeObserver(([entry]) => {
      if (entry !== undefined) set([entry.contentRect.width, entry.contentRect.height]);
    });
    observer.observe(element.current);
    return () => observer.disconnect();
  }, [element]);
  return size;
}
