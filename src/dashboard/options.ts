import { invalid, show } from "../core/checks.ts";
import { checkOptionsObject } from "../lib/arguments.ts";

/** Options of the dashboard. All are optional. */
export interface DashboardOptions {
  /** Where it is mounted: a path that begins with `/`. Default `/`. */
  readonly basePath?: string;
  /**
   * The host names by which clients reach it, without a port. `localhost`, names that end with `.localhost` and IP
   * addresses need not be named. Requests for any other host are refused, so that no page of another site can read this
   * one by pointing its own name at this machine.
   */
  readonly hosts?: readonly string[];
  /**
   * What clients must send as `Authorization: Bearer <token>`: 16 to 512 of the letters, digits and `-._~+/=`. Default:
   * none; anyone who can connect may read.
   */
  readonly token?: string;
  /** Whether keys may be held and killed over HTTP. Needs a `token`. Default false. */
  readonly allowWrites?: boolean;
  /** `/healthz` fails when the presence has been stale for longer, in ms; 0 to 86,400,000, default 30,000. */
  readonly staleAfterMs?: number;
  /** Returns the answer to `GET /metrics`, in Prometheus' text format. Default: there is no such route. */
  readonly metrics?: () => Promise<string>;
}

/** @internal */
export interface CheckedDashboardOptions {
  /** Without a slash at its end: empty for the root. */
  readonly basePath: string;
  /** As browsers send them. */
  readonly hosts: ReadonlySet<string>;
  readonly token: string | undefined;
  readonly allowWrites: boolean;
  readonly staleAfterMs: number;
  readonly metrics: (() => Promise<string>) | undefined;
}

const KNOWN = [
  "basePath",
  "hosts",
  "token",
  "allowWrites",
  "staleAfterMs",
  "metrics",
] as const satisfies readonly (keyof DashboardOptions)[];
const TOKEN = /^[A-Za-z0-9._~+/=-]{16,512}$/;
const PATH = /^(?:\/(?!\.\.?(?:\/|$))[A-Za-z0-9._~-]+)*\/?$/;
const STALE_AFTER_MS_MAX = 86_400_000;

/** @internal The options with their defaults, or `INVALID_OPTION`. A token is never shown. */
export function checkDashboardOptions(options: DashboardOptions): CheckedDashboardOptions {
  checkOptionsObject(options, KNOWN);
  const { basePath = "/", hosts = [], token, allowWrites = false, staleAfterMs = 30_000, metrics } = options;
  if (typeof basePath !== "string" || basePath === "" || !PATH.test(basePath)) {
    throw invalid("basePath", show(basePath), "a path such as /presence");
  }
  if (!Array.isArray(hosts)) throw invalid("hosts", show(hosts), "an array of host names without a port");
  const other: unknown = hosts.find((host) => asHost(host) === undefined);
  if (other !== undefined)
    throw invalid("hosts", `[${show(other)}]`, "host names without a scheme or a port");
  checkToken(token);
  if (typeof allowWrites !== "boolean") throw invalid("allowWrites", show(allowWrites), "true or false");
  if (allowWrites && token === undefined) {
    throw invalid("allowWrites", "true", "false where there is no token: anyone could kill keys");
  }
  if (typeof staleAfterMs !== "number" || !(staleAfterMs >= 0 && staleAfterMs <= STALE_AFTER_MS_MAX)) {
    throw invalid("staleAfterMs", show(staleAfterMs), `a number of ms from 0 to ${STALE_AFTER_MS_MAX}`);
  }
  if (metrics !== undefined && typeof metrics !== "function") {
    throw invalid("metrics", show(metrics), "a function");
  }
  return {
    basePath: basePath.replace(/\/$/, ""),
    hosts: new Set(hosts.map(asHost).filter((host) => host !== undefined)),
    token,
    allowWrites,
    staleAfterMs,
    metrics,
  };
}

/** The host name as browsers send it: in lower case, in ASCII. Undefined if it is none. */
function asHost(host: unknown): string | undefined {
  if (typeof host !== "string" || !/^[^\s:/?#@*\\]+$/.test(host)) return undefined;
  return URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : undefined;
}

/** Throws `INVALID_OPTION` if it is not a token. */
function checkToken(token: string | undefined): void {
  if (token === undefined || (typeof token === "string" && TOKEN.test(token))) return;
  throw invalid("token", "not what a token can be", "16 to 512 of the letters, digits and -._~+/=");
}
