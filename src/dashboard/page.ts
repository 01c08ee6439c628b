/** The page: the files that are in `page/files.ts`, served from memory. */
import { pageFiles } from "./page/files.ts";
import { Refusal } from "./refusal.ts";
import { PAGE_HEADERS } from "./headers.ts";

const START = "index.html";

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

/** Files with a hash in their name never change. */
const HASHED = /^assets\//;

/** The file with the name, the page itself for the empty one. Throws a refusal where there is none. */
export function servePage(name: string): Response {
  const file = name === "" ? START : name;
  const text = Object.hasOwn(pageFiles, file) ? pageFiles[file] : undefined;
  if (text === undefined) throw new Refusal("NOT_FOUND", "There is nothing here.");
  return answer(file, text);
}

/**
 * The page at a path without a trailing slash that ends in this part. There is no redirect to the path with a slash,
 * because the server that this one is mounted in may redirect back. Instead the page's
 * relative links begin with the part.
 */
export function servePageAt(lastPart: string): Response {
  return answer(START, (pageFiles[START] ?? "").replaceAll('="./', `="./${lastPart}/`));
}

function answer(file: string, text: string): Response {
  const type = TYPES[file.slice(file.lastIndexOf(".") + 1)] ?? "application/octet-stream";
  const caching = HASHED.test(file) ? "public, max-age=31536000, immutable" : "no-cache";
  return new Response(text, { headers: { ...PAGE_HEADERS, "content-type": type, "cache-control": caching } });
}
