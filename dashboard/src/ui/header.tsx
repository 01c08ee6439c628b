import type { Model } from "../model/model.ts";
import { Mark } from "./marks.tsx";
import { ThemeButton } from "./theme.tsx";

const LINK = {
  connecting: "connecting",
  live: "live",
  lost: "offline",
  locked: "locked",
  asleep: "asleep",
} as const;

export function Header({ model }: { readonly model: Model }) {
  const { hello, health, link } = model;
  const state = link.state === "live" ? health.state : LINK[link.state];
  const tone = state === "healthy" ? "good" : state === "failed" || state === "offline" ? "bad" : "caution";
  return (
    <header class="header">
      <a class="brand" href="./" aria-label="heartbit, to the start">
        <Mark /> heartbit
      </a>
      {hello !== undefined && (
        <h1 class="namespace">
          <span class="hidden">Namespace </span>
          {hello.name}
        </h1>
      )}
      <span class={`state ${tone}`} role="status">
        <span class="hidden">State: </span>
        {state}
      </span>
      <span class="spring" />
      <ThemeButton />
    </header>
  );
}
