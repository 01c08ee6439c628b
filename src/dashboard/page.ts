/** The page: the files that `npm run build` puts beside this one, read once and served from memory. */
import { readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Refusal } from "./refusal.ts";
import { PAGE_HEADERS } from "./headers.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** Files with a hash in their name never change. */
const HASHED = /^assets\//;

interface File {
  readonly bytes: Buffer<ArrayBuffer>;
  readonly headers: Readonly<Record<string, string>>;
}

export class Page {
  readonly #folder: URL;
  #files: ReadonlyMap<string, File> | undefined;

  constructor(folder = new URL("page/", import.meta.url)) {
    this.#folder = folder;
  }

  /** The file with the name, `index.html` for the empty one. Throws a refusal if there is none. */
  serve(name: string): Response {
    this.#files ??= readFiles(this.#folder);
    const file = this.#files.get(name === "" ? "index.html" : name);
    if (file === undefined) throw new Refusal("NOT_FOUND", "There is nothing here.");
    return new Response(file.bytes, { headers: file.headers });
  }
}

function readFiles(folder: URL): ReadonlyMap<string, File> {
  const files = new Map<string, File>();
  const path = fileURLToPath(folder);
  for (const found of readdirSync(path, { recursive: true, encoding: "utf8" })) {
    const type = TYPES[extname(found)];
    if (type === undefined) continue; // a folder, or a map of the sources
    const bytes = readFileSync(join(path, found));
    const name = found.replaceAll("\\", "/");
    const caching = HASHED.test(name) ? "public, max-age=31536000, immutable" : "no-cache";
    files.set(name, { bytes, headers: { ...PAGE_HEADERS, "content-type": type, "cache-control": caching } });
  }
  return files;
}
