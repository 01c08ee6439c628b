/** For the tests of security: the roles of docs/security.md, users with them, and all that an error tells. */
import { readFile } from "node:fs/promises";
import { inspect } from "node:util";
import type { Document, MongoClient } from "mongodb";
import { onTestFinished } from "vitest";
import type { Presence, PresenceOptions, Target } from "../../src/index.ts";
import { opened } from "../support/wait.ts";
import type { Privilege } from "./authorizer.ts";

const GUIDE = new URL("../../docs/security.md", import.meta.url);

/** The privileges that the guide's command for a role grants, without those of the roles in it. */
export async function privilegesOf(role: string, database: string, namespace: string): Promise<Privilege[]> {
  const guide = await readFile(GUIDE, "utf8");
  const { 1: script } = new RegExp(`<!-- role: ${role} -->\\s+\`\`\`js\\n(.*?)\`\`\``, "s").exec(guide) ?? [];
  if (script === undefined) throw new Error(`The guide has no role ${role}.`);
  let privileges: Privilege[] = [];
  const db = {
    getName: () => database,
    createRole: (command: { role: string; privileges: Privilege[] }) => {
      if (command.role !== role) throw new Error(`The guide calls the role ${role} ${command.role}.`);
      ({ privileges } = command);
    },
  };
  // oxlint-disable-next-line typescript/no-implied-eval -- what a person would paste into the shell
  new Function("db", script.replace('"presence"', JSON.stringify(namespace)))(db);
  return privileges;
}

let count = 0;

/** A new user with exactly these privileges; or with built-in roles. Gives its name; the password is "sesame". */
export async function newUser(
  admin: MongoClient,
  database: string,
  rights: { privileges: readonly Privilege[] } | { roles: readonly (string | Document)[] },
): Promise<string> {
  const name = `user${process.pid}_${count++}`;
  let roles: readonly (string | Document)[] = [];
  if ("roles" in rights) ({ roles } = rights);
  else {
    roles = [{ role: name, db: database }];
    await admin.db(database).command({ createRole: name, privileges: rights.privileges, roles: [] });
  }
  await admin.db(database).command({ createUser: name, pwd: "sesame", roles });
  return name;
}

/** Opens a presence that is closed at the end of the test. */
export async function open(target: Target, options: PresenceOptions = {}): Promise<Presence> {
  const presence = await opened(target, options);
  onTestFinished(() => presence.close());
  return presence;
}

/** What the promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<{ error: Error }> {
  const error: unknown = await promise.then(
    () => new Error("It resolved."),
    (reason: unknown) => reason,
  );
  if (error instanceof Error) return { error };
  throw new Error(`It rejected with ${inspect(error)}.`);
}

/** All that an error tells to whoever looks: messages, stacks, causes and hidden fields, as deep as they go. */
export function tellings(error: unknown): string {
  const texts = [inspect(error, { depth: Infinity, showHidden: true, maxStringLength: null })];
  for (let at = error; at instanceof Error; at = at.cause) {
    texts.push(at.message, String(at.stack), JSON.stringify(at), JSON.stringify(Object.values(at)));
  }
  return texts.join("\n");
}
