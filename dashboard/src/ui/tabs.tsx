import type { Address, View } from "../address.ts";
import type { Go } from "./hooks.ts";

const VIEWS: readonly (readonly [View, string])[] = [
  ["keys", "Keys"],
  ["pulse", "Pulse"],
  ["changes", "Changes"],
];

/** In a narrow window, one part is shown at a time. */
export function Tabs({ address, go }: { readonly address: Address; readonly go: Go }) {
  return (
    <nav class="tabs" aria-label="Parts">
      {VIEWS.map(([view, title]) => (
        <button
          key={view}
          type="button"
          aria-current={view === address.view && address.key === undefined ? "page" : undefined}
          onClick={() => go({ view, key: undefined })}
        >
          {title}
        </button>
      ))}
    </nav>
  );
}
