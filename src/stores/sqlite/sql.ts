/** Statements of one connection, each prepared once. */
import type { Connection, Statement } from "./driver.ts";

/** A value for a `?`, or an object with a value for each name. */
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

  /** The first row, or undefined if there is none. */
  get(sql: string, ...values: readonly Value[]): unknown {
    return this.#statement(sql).get(...values.map(bound)) ?? undefined;
  }

  /**
   * The column `json` of the statement, parsed. Many rows come as one text because each value that crosses from SQLite
   * to JavaScript costs about a microsecond in `@photostructure/sqlite`, several times the cost of parsing it.
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
