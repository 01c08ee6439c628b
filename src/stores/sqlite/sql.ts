/** Statements of one connection, each prepared once. */
import type { Connection, Statement } from "./driver.ts";

/** What is bound to a `?`, or to all names as an object. */
export type Value =
  | string
  | number
  | null
  | undefined
  | { readonly [name: string]: string | number | undefined };

export class Sql {
  readonly #connection: Connection;
  readonly #statements = new Map<string, Statement>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Runs the statement. Returns how many rows it changed. */
  run(sql: string, ...values: readonly Value[]): number {
    return Number(this.#statement(sql).run(...values.map(bound)).changes);
  }

  /** The first row, or undefined where there is none. */
  get(sql: string, ...values: readonly Value[]): unknown {
    return this.#statement(sql).get(...values.map(bound)) ?? undefined;
  }

  /**
   * What the statement selects as `json`, a single text. Many rows come as one text because each value that crosses from
   * SQLite to JavaScript costs about a microsecond in `@photostructure/sqlite`, several times what parsing it costs.
   */
  json(sql: string, ...values: readonly Value[]): unknown {
    const row = this.get(sql, ...values) as { json: string } | undefined;
    return JSON.parse(row?.json ?? "[]");
  }

  #statement(sql: string): Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, (statement = this.#connection.prepare(sql)));
    return statement;
  }
}

function bound(value: Value): Value {
  return value ?? null;
}
