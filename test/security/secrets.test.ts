import { inspect } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { Presence } from "../../src/index.ts";
import { heartbit } from "../cli/heartbit.ts";
import { failure, open, ServerWithLogins } from "./support.ts";

/** The parts of every password here; none of them may be seen anywhere. */
const PARTS = ["opensesame", "swordfish"] as const;

function expectSilence(text: string): void {
  for (const part of PARTS) expect(text).not.toContain(part);
}

/** All that an error tells: messages, stacks, causes and hidden fields, as deep as they go. */
function tellings(error: unknown): string {
  const texts = [inspect(error, { depth: Infinity, showHidden: true, maxStringLength: null })];
  for (let at = error; at instanceof Error; at = at.cause) {
    texts.push(at.message, String(at.stack), JSON.stringify(at), JSON.stringify(Object.values(at)));
  }
  return texts.join("\n");
}

/** Everything that is logged, as lines. */
function listen() {
  const lines: string[] = [];
  const say = (message: string, error?: unknown): unknown => lines.push(message, tellings(error));
  return { lines, logger: { debug: say, info: say, warn: say, error: say } };
}

describe("a connection string", () => {
  const between = ["", ..."@ / ? # : % %zz & = [ ] , é @/? //".split(" "), " ", "\n", "\0"];
  const strings = between.flatMap((one) => {
    const password = PARTS.join(one);
    return [
      `mongodb://joe:${password}@127.0.0.1:99999999/x`,
      `mongodb://joe:${password}@127.0.0.1/x?nonsense=1`,
      `mongodb://joe:${password}@127.0.0.1/x?maxPoolSize=many`,
      `mongodb://joe:${password}@/x`,
      `mongodb+srv://joe:${password}@127.0.0.1:27017/x`,
      `mongodb://${password}@127.0.0.1:99999999/x`,
      `mongodb://127.0.0.1/x?nonsense=1&tlsCertificateKeyFilePassword=${password}`,
      `mongodb://127.0.0.1/x?proxyHost=h&proxyPassword=${password}`,
      `mongodb://127.0.0.1/x?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:${password},NO:1&nonsense=1`,
      `mongodb:/joe:${password}@127.0.0.1/x`,
      `mongo://joe:${password}@127.0.0.1/x`,
      `http://joe:${password}@127.0.0.1/x`,
      `joe:${password}@127.0.0.1/x`,
    ];
  });

  it(`that is invalid reveals nothing of its password: ${strings.length} of them`, async () => {
    for (const uri of strings) {
      const { lines, logger } = listen();
      const signal = AbortSignal.timeout(20); // some can be read after all, and lead nowhere
      const { error } = await failure(Presence.open(uri, { logger, signal }));
      expectSilence(tellings(error) + lines.join());
    }
  });

  it.each([
    "mongodb://joe:p%40ss%2Fword%3F@127.0.0.1:1/x?appName=a@b",
    "mongodb://joe:sub-delims!$&'()*+,;=~@127.0.0.1:1,localhost:2/",
  ])("that is right is taken, although it looks odd: %s", async (uri) => {
    const { error } = await failure(Presence.open(uri, { signal: AbortSignal.timeout(50) }));
    expect(error).not.toMatchObject({ code: "INVALID_OPTION" });
  });
});

describe("on a server with logins", () => {
  const logins = new ServerWithLogins();
  let right: string;
  let wrong: string;
  let readOnly: string;
  beforeAll(async () => {
    right = await logins.newUser("readWrite", PARTS.join("@"));
    readOnly = await logins.newUser("read", PARTS.join("@"));
    wrong = right.replace(encodeURIComponent("@"), "");
  });

  it("the library says no password in its logs, errors, stacks, causes and events", async () => {
    const { lines, logger } = listen();
    const options = { periodMs: 1000, logger };
    const fails = async (promise: Promise<unknown>): Promise<unknown> =>
      lines.push(tellings((await failure(promise)).error));
    await fails(Presence.open(wrong, options));
    const presence = await open(right, options);
    presence.on("health", (health) => lines.push(JSON.stringify(health)));
    await presence.pinger("key").start();
    await fails(Presence.open(right, { periodMs: 900 }));
    const reader = await open(readOnly, options);
    await fails(reader.pinger("key").start());
    await fails(reader.prune());
    const watcher = presence.watcher();
    await watcher.sync();
    await logins.server.kill9();
    await fails(presence.list());
    await fails(Presence.open(right, options));
    await logins.server.restart();
    await presence.close();
    lines.push(tellings(presence), tellings(watcher));
    const said = lines.join("\n");
    for (const code of ["NOT_PERMITTED", "CONFIG_MISMATCH", "STORE_UNAVAILABLE"])
      expect(said).toContain(code);
    expectSilence(said);
  });

  it("the command says none, with --json and NODE_DEBUG too", async () => {
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
      [right.replace("/app", ":99999999/app"), ["ls"]],
      [right.replace("%40", "@/?"), ["ls"]],
    ] as const;
    const NODE_DEBUG = "heartbit";
    const ended = await Promise.all([
      ...runs.map(([uri, [command, ...args]]) =>
        heartbit([command, "--json", "--period", "1s", ...args], { NODE_DEBUG, HEARTBIT_STORE: uri }),
      ),
      heartbit(["ls", "--store", wrong, "--json"], { NODE_DEBUG }),
    ]);
    const text = ended.map(({ stdout, stderr }) => stdout + stderr).join("\n");
    expect(text.length).toBeGreaterThan(1000);
    expectSilence(text);
  });
});
