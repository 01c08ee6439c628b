/**
 * What tests, scripts and benchmarks read from a connection string, and change in it. The driver's own parser does it:
 * one may name several hosts, or a record of the DNS, and `new URL` takes neither.
 */
import { ConnectionString } from "mongodb-connection-string-url";

/** The same connection string with a database. */
export function withDatabase(uri: string, database: string): string {
  const changed = new ConnectionString(uri);
  changed.pathname = `/${database}`;
  return changed.toString();
}

/** The same with these options too: `a=b&c=d`. */
export function withOptions(uri: string, options: string): string {
  const changed = new ConnectionString(uri);
  for (const [name, value] of new URLSearchParams(options)) changed.searchParams.append(name, value);
  return changed.toString();
}

/** The same with this user; without one where none is given. */
export function withLogin(uri: string, user = "", password = ""): string {
  const changed = new ConnectionString(uri);
  changed.username = encodeURIComponent(user);
  changed.password = encodeURIComponent(password);
  return changed.toString();
}

/** Only the hosts and the database: no login, no options. */
export function withoutLoginAndOptions(uri: string): string {
  const changed = new ConnectionString(uri);
  changed.username = changed.password = changed.search = "";
  return changed.toString();
}

/** The name of the database; empty where there is none. */
export function databaseOf(uri: string): string {
  return decodeURIComponent(new ConnectionString(uri).pathname.slice(1));
}

/** The same with this host in place of all others, or of a record of the DNS, and without TLS. */
export function withHost(uri: string, host: string): string {
  const { username, password, pathname, searchParams } = new ConnectionString(uri);
  const changed = new ConnectionString(`mongodb://${host}/`);
  Object.assign(changed, { username, password, pathname });
  for (const [name, value] of searchParams)
    if (!/^(?:tls|ssl|srv)/i.test(name)) changed.searchParams.append(name, value);
  return changed.toString();
}

/** Whether it names one server, by its address. */
export function isAlone(uri: string): boolean {
  const { hosts, isSRV } = new ConnectionString(uri);
  return hosts.length === 1 && !isSRV;
}

/** The first host. */
export function addressOf(uri: string): { host: string; port: number } {
  const [first = ""] = new ConnectionString(uri).hosts;
  const { 1: host = first, 2: port = "27017" } = /^(.*?)(?::(\d+))?$/.exec(first) ?? [];
  return { host, port: Number(port) };
}
