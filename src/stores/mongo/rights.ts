/** Which of the rights that heartbit needs the user has on the collections of a namespace. */
import type { Document } from "mongodb";
import type { Finding } from "../../core/store.ts";
import type { Context } from "./context.ts";
import type { Names } from "./indexes.ts";

/** What each right is needed for. `createIndex` is omitted: nobody needs it once the indexes are there. */
const NEEDS: Readonly<Record<string, readonly (keyof Names)[]>> = {
  find: ["meta", "records", "pings"],
  insert: ["meta", "records", "pings"],
  update: ["meta", "records", "pings"],
  remove: ["records", "pings"],
  changeStream: ["records"],
};

interface Privilege {
  readonly resource: { readonly db?: string; readonly collection?: string; readonly anyResource?: boolean };
  readonly actions: readonly string[];
}

export async function examineRights({ calls, limits, names }: Context): Promise<Finding> {
  const command = { connectionStatus: 1, showPrivileges: true };
  const { authInfo }: Document = await calls.command("read the rights", command, limits.openingMs);
  const { authenticatedUsers = [], authenticatedUserPrivileges = [] } = (authInfo ?? {}) as {
    authenticatedUsers?: readonly unknown[];
    authenticatedUserPrivileges?: readonly Privilege[];
  };
  const check = "permissions";
  if (authenticatedUsers.length === 0) {
    const advice = "Turn authorization on, wherever others can reach the server.";
    return { check, level: "warning", found: "Nobody is logged in: the server may let anyone in.", advice };
  }
  if (authenticatedUserPrivileges.length === 0) {
    return { check, level: "ok", found: "The server does not say what the user may do." };
  }
  return findingOf(missingRights(authenticatedUserPrivileges, calls.db.databaseName, names));
}

/** The collections on which each right is missing. */
function missingRights(
  privileges: readonly Privilege[],
  database: string,
  names: Names,
): Map<string, readonly string[]> {
  const missing = new Map<string, readonly string[]>();
  for (const [action, kinds] of Object.entries(NEEDS)) {
    const granting = privileges.filter(({ actions }) => actions.includes(action));
    const without = kinds
      .map((kind) => names[kind])
      .filter((collection) => !granting.some(({ resource }) => covers(resource, database, collection)));
    if (without.length > 0) missing.set(action, without);
  }
  return missing;
}

/** An empty name stands for every database, or every collection. */
function covers(
  { db, collection, anyResource }: Privilege["resource"],
  database: string,
  name: string,
): boolean {
  if (anyResource === true) return true;
  return (db === "" || db === database) && (collection === "" || collection === name);
}

function findingOf(missing: ReadonlyMap<string, readonly string[]>): Finding {
  const check = "permissions";
  const lacking = Array.from(missing, ([action, on]) => `${action} on ${on.join(", ")}`).join("; ");
  const advice = `Grant ${lacking}.`;
  if (missing.size === 0) return { check, level: "ok", found: "The user may do all that heartbit does." };
  const mayOnlyRead = ["insert", "update"].every(
    (action) => missing.get(action)?.length === NEEDS[action]?.length,
  );
  if (missing.has("find")) {
    return { check, level: "error", found: "The user may not read the namespace.", advice };
  }
  if (mayOnlyRead) {
    return {
      check,
      level: "warning",
      found: "The user may watch and list, but hold and kill nothing.",
      advice,
    };
  }
  if (missing.has("insert") || missing.has("update")) {
    return { check, level: "error", found: "The user may not write all that holding a key writes.", advice };
  }
  const worse = missing.has("remove") ? "what is stored grows" : "changes are polled";
  return { check, level: "warning", found: `A right is missing, so that ${worse}.`, advice };
}
