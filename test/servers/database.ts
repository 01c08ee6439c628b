/** For tests: the server of this run, and a database of one's own on it. */
import { inject } from "vitest";
import { withDatabase } from "./uri.ts";

let count = 0;

/** The connection string of a new database on the server of this run; or on another, where one is given. */
export function newDatabase(uri = inject("mongodbUri")): string {
  return withDatabase(uri, `${inject("databasePrefix")}${process.pid}_${count++}`);
}
