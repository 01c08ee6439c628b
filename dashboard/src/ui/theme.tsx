import { useLayoutEffect, useState } from "preact/hooks";
import { remember } from "../storage.ts";
import { Moon, Sun } from "./marks.tsx";

type Theme = "light" | "dark";

const STORED = "heartbit-theme";

/** Switches between light and dark. If the choice is that of the system, the page follows the system again. */
export function ThemeButton() {
  const [media] = useState(() => matchMedia("(prefers-color-scheme: dark)"));
  const system = (): Theme => (media.matches ? "dark" : "light");
  const chosen = (): Theme => (document.documentElement.dataset["theme"] as Theme | undefined) ?? system();
  const [theme, set] = useState(chosen);
  useLayoutEffect(() => {
    const turned = (): void => set(chosen());
    media.addEventListener("change", turned);
    return () => media.removeEventListener("change", turned);
  });
  const turn = (): void => {
    const next = theme === "dark" ? "light" : "dark";
    set(next);
    if (next === system()) {
      delete document.documentElement.dataset["theme"];
      remember("localStorage", STORED, null);
    } else {
      document.documentElement.dataset["theme"] = next;
      remember("localStorage", STORED, next);
    }
  };
  const label = theme === "dark" ? "Use light colours" : "Use dark colours";
  return (
    <button type="button" class="icon" onClick={turn} aria-label={label} title={label}>
      {theme === "dark" ? <Sun /> : <Moon />}
    </button>
  );
}
