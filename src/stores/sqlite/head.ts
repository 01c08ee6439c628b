/** The namespace's own row: its config and its counters. */
import type { Config } from "../../core/records.ts";
import { escaped, type Head } from "./schema.ts";
import type { Sql } from "./sql.ts";

export function readHead(sql: Sql, name: string): Head | undefined {
  const query = "SELECT id, life, config, seq, change FROM namespaces WHERE name = ?";
  return sql.get(query, escaped(name)) as Head | undefined;
}

/** The namespace's row, created if there is none. */
export function makeHead(sql: Sql, name: string): Head {
  const found = readHead(sql, name);
  if (found !== undefined) return found;
  sql.run("INSERT INTO namespaces (name) VALUES (?)", escaped(name));
  return readHead(sql, name) as Head;
}

export function configOf(head: Head | undefined): Config | undefined {
  return typeof head?.config === "string" ? (JSON.parse(head.config) as Config) : undefined;
}

export function setConfig(sql: Sql, { id }: Head, config: Config): void {
  sql.run("UPDATE namespaces SET config = ? WHERE id = ?", JSON.stringify(config), id);
}
