import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

/** Builds the page: `scripts/build.mjs` puts it into a module of the package, from which `src/dashboard/page.ts` serves it. */
export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  // Named from where the page lies, so that it can be mounted anywhere.
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    emptyOutDir: true,
    target: ["chrome123", "firefox121", "safari17.5"],
    // The page's policy allows files of its own server alone.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // The licences of what is bundled, beside the page.
    license: { fileName: "LICENCES.md" },
  },
});
