/** For the tests of security: a server with logins, the roles of docs/security.md, and all that an error tells. */
import { readFile } from "node:fs/promises";
import { MongoClient } from "mongodb";
import { afterAll, beforeAll, expect, onTestFinished } from "vitest";
import type { Presence, PresenceOptions, Target } from "../../src/index.ts";
import { startServer, type TestServer, withDatabase } from "../servers/index.ts";
import { withLogin, withoutLoginAndOptions, withOptions } from "../servers/uri.ts";
import { opened } from "../support/wait.ts";
import type { Privilege } from "./authorizer.ts";

const GUIDE = new URL("../../docs/security.md", import.meta.url);
export const DATABASE = "app";

/** The privileges that the guide's command for a role grants, without those of the roles in it. */
export async function privilegesOf(role: string, namespace: string): Promise<Privilege[]> {
  const guide = await readFile(GUIDE, "utf8");
  const { 1: script } = new RegExp(`<!-- role: ${role} -->\\s+\`\`\`js\\n(.*?)\`\`\``, "s").exec(guide) ?? [];
  if (script === undefined) throw new Error(`The guide has no role ${role}.`);
  let privileges: Privilege[] = [];
  const db = {
    getName: () => DATABASE,
    createRole: (command: { role: string; privileges: Privilege[] }) => {
      if (command.role !== role) throw new Error(`The guide calls the role ${role} ${command.role}.`);
      ({ privileges } = command);
    },
  };
  // oxlint-disable-next-line typescript/no-implied-eval -- what a person would paste into the shell
  new Function("db", script.replace('"presence"', JSON.stringify(namespace)))(db);
  return privileges;
}

/** A server with logins, for the tests of a file. */
export class ServerWithLogins {
  server!: TestServer;
  admin!: MongoClient;
  #users = 0;

  constructor() {
    beforeAll(async () => {
      this.server = await startServer({ auth: true });
      this.admin = await new MongoClient(this.server.uri).connect();
    });
    afterAll(async () => {
      await this.admin.close();
      await this.server.stop();
    });
  }

  /** The connection string of a new user with a built-in role, or with exactly these privileges. */
  async newUser(rights: string | Privilege[], password: string): Promise<string> {
    const user = `user${this.#users++}`;
    const db = this.admin.db(DATABASE);
    const own = typeof rights !== "string";
    if (own) await db.command({ createRole: user, privileges: rights, roles: [] });
    await db.command({
      createUser: user,
      pwd: password,
      roles: [own ? { role: user, db: DATABASE } : rights],
    });
    const bare = withDatabase(withoutLoginAndOptions(this.server.uri), DATABASE);
    return withOptions(withLogin(bare, user, password), `authSource=${DATABASE}`);
  }
}

/** Opens a presence that is closed at the end of the test. */
export async function open(target: Target, options: PresenceOptions = {}): Promise<Presence> {
  const presence = await opened(target, options);
  onTestFinished(() => presence.close());
  return presence;
}

/** What the promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<{ error: Error }> {
  const error: unknown = await promise.then(() => "It resolved.").catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(Error);
  return { error: error as Error };
}
