import { MongoClient } from "mongodb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Presence } from "../../src/index.ts";
import { heartbit } from "../cli/heartbit.ts";
import { startServer, type TestServer, withDatabase } from "../servers/index.ts";
import { withLogin, withoutLoginAndOptions, withOptions } from "../servers/uri.ts";
import { failure, newUser, open, tellings } from "./support.ts";

/** The parts of every password here; none of them may be seen anywhere. */
const PARTS = ["opensesame", "swordfish"] as const;

function expectSilence(text: string): void {
  for (const part of PARTS) expect(text).not.toContain(part);
}

const password = (between: string): string => PARTS.join(between);

describe("an invalid connection string reveals nothing of its password:", () => {
  const between = [
    "",
    "@",
    "/",
    "?",
    "#",
    ":",
    "%",
    "%zz",
    "&",
    "=",
    "[",
    "]",
    ",",
    " ",
    "\n",
    "\0",
    "é",
    "@/?",
    "//",
  ];
  const strings = between.flatMap((one) => [
    `mongodb://joe:${password(one)}@127.0.0.1:99999999/x`,
    `mongodb://joe:${password(one)}@127.0.0.1/x?nonsense=1`,
    `mongodb://joe:${password(one)}@127.0.0.1/x?maxPoolSize=many`,
    `mongodb://joe:${password(one)}@/x`,
    `mongodb+srv://joe:${password(one)}@127.0.0.1:27017/x`,
    `mongodb://${password(one)}@127.0.0.1:99999999/x`,
    `mongodb://127.0.0.1/x?nonsense=1&tlsCertificateKeyFilePassword=${password(one)}`,
    `mongodb://127.0.0.1/x?proxyHost=h&proxyPassword=${password(one)}`,
    `mongodb://127.0.0.1/x?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:${password(one)},NO:1&nonsense=1`,
    `mongodb:/joe:${password(one)}@127.0.0.1/x`,
    `mongo://joe:${password(one)}@127.0.0.1/x`,
    `http://joe:${password(one)}@127.0.0.1/x`,
    `joe:${password(one)}@127.0.0.1/x`,
  ]);

  it(`all of ${strings.length} of them`, async () => {
    for (const uri of strings) {
      const lines: string[] = [];
      const say = (message: string, error?: unknown): unknown => lines.push(message, tellings(error));
      const logger = { debug: say, info: say, warn: say, error: say };
      const signal = AbortSignal.timeout(20); // some can be read after all, and lead nowhere
      const { error } = await failure(Presence.open(uri, { logger, signal }));
      expectSilence(tellings(error));
      expectSilence(lines.join());
    }
  });

  it.each([
    "mongodb://joe:p%40ss%2Fword%3F@127.0.0.1:1/x?appName=a@b",
    "mongodb://joe:sub-delims!$&'()*+,;=~@127.0.0.1:1,localhost:2/",
    "mongodb://joe@[::1]:1/x",
    "mongodb://[::1]:1,127.0.0.1/",
    "mongodb://joe:p@%2Ftmp%2Fabsent.sock/x",
  ])("but one that is right is taken: %s", async (uri) => {
    const signal = AbortSignal.timeout(50);
    expect((await failure(Presence.open(uri, { signal }))).error).not.toMatchObject({
      code: "INVALID_OPTION",
    });
  });

  it("and says what is wrong", async () => {
    const opening = Presence.open(`mongodb://joe:${password("")}@127.0.0.1/x?maxPoolSize=many`);
    expect((await failure(opening)).error.message).toMatch(/maxPoolSize/i);
    const unescaped = Presence.open(`mongodb://joe:${password("@")}@127.0.0.1/x`);
    expect((await failure(unescaped)).error.message).toContain("percent-encoded");
  });
});

describe("a server with logins", () => {
  let server: TestServer;
  let admin: MongoClient;
  let right: string;
  let readOnly: string;
  beforeAll(async () => {
    server = await startServer({ auth: true });
    admin = await new MongoClient(server.uri).connect();
    const uriOf = async (roles: string[]): Promise<string> => {
      const user = await newUser(admin, "app", { roles });
      await admin.db("app").command({ updateUser: user, pwd: password("@") });
      const bare = withDatabase(withoutLoginAndOptions(server.uri), "app");
      return withOptions(withLogin(bare, user, password("@")), "authSource=app");
    };
    right = await uriOf(["readWrite"]);
    readOnly = await uriOf(["read"]);
  });
  afterAll(async () => {
    await admin.close();
    await server.stop();
  });

  it("the library says no password in its logs, errors, stacks, causes and events", async () => {
    const lines: string[] = [];
    const say = (message: string, error?: unknown): unknown => lines.push(message, tellings(error));
    const logger = { debug: say, info: say, warn: say, error: say };
    const options = { periodMs: 1000, logger };
    const wrong = right.replace(encodeURIComponent("@"), "");
    lines.push(tellings((await failure(Presence.open(wrong, options))).error));

    const presence = await open(right, options);
    presence.on("health", (health) => lines.push(JSON.stringify(health)));
    await presence.pinger("key").start();
    lines.push(tellings((await failure(Presence.open(right, { periodMs: 900 }))).error));
    const reader = await open(readOnly, options);
    lines.push(tellings((await failure(reader.pinger("key").start())).error));
    lines.push(tellings((await failure(reader.prune())).error).slice(0, 1000));
    const watcher = presence.watcher();
    await watcher.sync();
    await server.kill9();
    lines.push(tellings((await failure(presence.list())).error));
    lines.push(tellings((await failure(Presence.open(right, options))).error));
    await server.restart();
    await presence.close();
    lines.push(tellings(presence), tellings(watcher));
    const said = lines.join("\n");
    for (const code of ["NOT_PERMITTED", "CONFIG_MISMATCH", "STORE_UNAVAILABLE"])
      expect(said).toContain(code);
    expectSilence(said);
  });

  it("the command says none, with --json and NODE_DEBUG too", async () => {
    const wrong = right.replace(encodeURIComponent("@"), "");
    const odd = right.replace("/app", `:99999999/app`);
    const runs = [
      [right, ["ls"]],
      [right, ["run", "key", "--", process.execPath, "-e", "0"]],
      [right, ["wait", "key", "--timeout", "10ms"]],
      [right, ["kill", "key"]],
      [readOnly, ["ping", "key"]],
      [readOnly, ["prune"]],
      [readOnly, ["drop", "--yes"]],
      [wrong, ["ls"]],
      [wrong, ["watch"]],
      [odd, ["ls"]],
      [right.replace("%40", "@/?"), ["ls"]],
    ] as const;
    const env = { NODE_DEBUG: "heartbit" };
    const ended = await Promise.all(
      runs.flatMap(([uri, args]) => [
        heartbit([...args.slice(0, 1), "--json", "--period", "1s", ...args.slice(1)], {
          ...env,
          HEARTBIT_STORE: uri,
        }),
      ]),
    );
    const flag = await heartbit(["ls", "--store", wrong, "--json"], env);
    const texts = [...ended, flag].map(({ stdout, stderr }) => stdout + stderr);
    expect(texts.join("").length).toBeGreaterThan(1000);
    for (const text of texts) expectSilence(text);
  });
});
