/**
 * Which requests are accepted. The checks, in order:
 *
 * - *Host*: a page of another site that has pointed its own name at this machine (DNS rebinding) sends that name, which
 *   is not one of ours. An IP address in `Host` cannot come from such a name.
 * - *Origin*: a page of another site that sends requests here (CSRF) cannot hide its origin: browsers send it in
 *   `Origin` and `Sec-Fetch-Site`.
 * - *Token*: compared in constant time. The page itself needs none: it has no data.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import { Refusal } from "./refusal.ts";

/** Enough for a prefix and `after`, 1,024 bytes each with every byte escaped, and the rest. */
const URL_CHARS_MAX = 8192;

export function checkUrl(request: Request): void {
  if (request.url.length <= URL_CHARS_MAX) return;
  throw new Refusal("TOO_LARGE", `The URL is longer than ${URL_CHARS_MAX} characters.`);
}

/** `hosts`: the names that are allowed, as browsers send them. */
export function checkHost(request: Request, hosts: ReadonlySet<string>): void {
  const name = hostnameOf(hostOf(request));
  if (name === "localhost" || name.endsWith(".localhost") || isIP(name) !== 0 || hosts.has(name)) return;
  throw new Refusal(
    "FORBIDDEN_HOST",
    "This server does not go by that host name: allow it with --allow-host, or with the option hosts.",
  );
}

export function checkOrigin(request: Request): void {
  const site = request.headers.get("sec-fetch-site");
  const origin = request.headers.get("origin");
  const isOtherSite = site !== null && site !== "same-origin" && site !== "none";
  // The scheme is not compared: TLS may end before us.
  const isOtherOrigin = origin !== null && originHost(origin) !== withoutDefaultPort(hostOf(request));
  if (!isOtherSite && !isOtherOrigin) return;
  throw new Refusal("FORBIDDEN_ORIGIN", "Pages of other sites may not ask this server anything.");
}

export function checkBearer(request: Request, token: string | undefined): void {
  if (token === undefined) return;
  const given = /^Bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
  if (given !== undefined && isEqual(given, token)) return;
  throw new Refusal("UNAUTHORIZED", "Send the token of this server: Authorization: Bearer <token>.", {
    "www-authenticate": 'Bearer realm="heartbit"',
  });
}

/** Compares in constant time: digests all have the same length. */
function isEqual(a: string, b: string): boolean {
  return timingSafeEqual(digest(a), digest(b));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** The host as the client sent it: a server that mounts this one may have rewritten the URL. */
function hostOf(request: Request): string {
  return (request.headers.get("host") ?? new URL(request.url).host).toLowerCase();
}

/** Undefined if it is not a URL: a page that hides its origin sends `null`. */
function originHost(origin: string): string | undefined {
  return URL.canParse(origin) ? withoutDefaultPort(new URL(origin).host) : undefined;
}

/** Proxies may name the port that a URL leaves out. */
function withoutDefaultPort(host: string): string {
  return host.replace(/:(?:80|443)$/, "");
}

/** Without the port, and an IPv6 address without its brackets. */
function hostnameOf(host: string): string {
  return host.replace(/:\d*$/, "").replace(/^\[(.*)\]$/, "$1");
}
