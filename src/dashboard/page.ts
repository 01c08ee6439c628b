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

/** What has a hash in its name never changes. */
const HASHED = /^assets\//;

/** The file with the name, the page itself for the empty one. Throws a refusal where there is none. */
export function servePage(name: string): Response {
  const file = name === "" ? START : name;
  const text = Object.hasOwn(pageFiles, file) ? pageFiles[file] : undefined;
  if (text === undefined) throw new Refusal("NOT_FOUND", "There is nothing here.");
  return answer(file, text);
}

/**
 * The page at a path without a slash at its end, whose last part this is. It is not redirected to the path with a slash: a
 * server that this one is mounted in may redirect that one back. So what the page names from where it lies begins with the
 * last part of its path.
 */
export function servePageAt(lastPart: string): Response {
  return answer(START, (pageFiles[START] ?? "").replaceAll('="./', `="./${lastPart}/`));
}

function answer(file: string, text: string): Response {
  const type = TYPES[file.slice(file.lastIndexOf(".") + 1)] ?? "application/octet-stream";
  const caching = HASHED.test(file) ? "public, max-age=31536000, immutable" : "no-cache";
  return new Response(text, { headers: { ...PAGE_HEADERS, "content-type": type, "cache-control": caching } });
}
