/**
 * Stands between a client and a server, and refuses what a role does not permit, as MongoDB documents it ("Privilege
 * Actions"): for servers that check the actions of a role for a whole database only, or some of them not at all.
 */
import { onTestFinished } from "vitest";
import { type Command, refusal, startProxy } from "../servers/proxy.ts";

const UNAUTHORIZED = 13;

export interface Privilege {
  readonly resource: { readonly db: string; readonly collection: string };
  readonly actions: readonly string[];
}

/** What each command that heartbit sends needs, on the collection that it names. The rest needs no right. */
const NEEDS: Readonly<Record<string, (command: Command) => string[]>> = {
  find: () => ["find"],
  aggregate: ({ isFeed }) => ["find", ...(isFeed ? ["changeStream"] : [])],
  update: ({ body }) => ["update", ...(body["updates"].some(isUpsert) ? ["insert"] : [])],
  findAndModify: ({ body }) => ["find", "update", ...(isUpsert(body) ? ["insert"] : [])],
  delete: () => ["remove"],
  createIndexes: () => ["createIndex"],
  drop: () => ["dropCollection"],
};
/** Of one's own cursors, and of oneself. */
const FREE = new Set(
  "hello isMaster ismaster ping buildInfo saslStart saslContinue endSessions getMore killCursors".split(" "),
);

const isUpsert = ({ upsert }: { upsert?: unknown }): boolean => upsert === true;

export interface Authorized {
  readonly uri: string;
  /** The commands that have come, in order: `update presence.pings`. */
  readonly commands: readonly string[];
}

/** Lets through what the privileges permit, until the end of the test. */
export async function authorize(uri: string, privileges: readonly Privilege[] | "all"): Promise<Authorized> {
  const commands: string[] = [];
  const proxy = await startProxy({
    uri,
    onCommand: (command) => {
      commands.push(`${command.name} ${command.collection}`);
      return privileges === "all" || isPermitted(command, privileges) ? undefined : refusal(UNAUTHORIZED);
    },
  });
  onTestFinished(() => proxy.stop());
  return { uri: proxy.uri, commands };
}

function isPermitted(command: Command, privileges: readonly Privilege[]): boolean {
  const { name, collection, body } = command;
  if (FREE.has(name)) return true;
  const here = privileges.filter(
    ({ resource }) => resource.db === body["$db"] && resource.collection === collection,
  );
  const granted = new Set(here.flatMap(({ actions }) => actions));
  return NEEDS[name]?.(command).every((action) => granted.has(action)) ?? false;
}
