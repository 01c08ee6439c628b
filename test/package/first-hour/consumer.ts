/** A program that uses heartbit: an empty folder, in which the tarball was installed as a reader of the README does. */
import { execFile, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, inject, onTestFinished, type TestContext } from "vitest";
import { Running } from "../../cli/heartbit.ts";
import { type Manager, managerOf } from "./nodes.ts";

const programs = join(process.cwd(), "test/package/first-hour/programs");

interface Manifest {
  readonly version: string;
  readonly engines: { readonly node: string };
  readonly devDependencies: Readonly<Record<string, string>>;
}

export const manifest = JSON.parse(readFileSync("package.json", "utf8")) as Manifest;

/** Packages in the versions that the repository itself uses. */
export function pinned(...names: string[]): string[] {
  return names.map((name) => `${name}@${manifest.devDependencies[name] ?? "latest"}`);
}

/** The packages of the stores. */
export const STORES = pinned("mongodb", "@photostructure/sqlite");

/** What `programs/store.mjs` prints. */
export const TOLD = `worker/7 true initial [{"queue":"mail"}]
listed 1 true
worker/7 false killed []
`;

const PNP = `nodeLinker: pnp
enableGlobalCache: false
enableTelemetry: false
enableImmutableInstalls: false
checksumBehavior: ignore
`;

interface Wanted {
  readonly manager?: Manager;
  /** What is installed besides. */
  readonly packages?: readonly string[];
  /** Without the packages that are optional. */
  readonly omitOptional?: boolean;
}

interface How {
  readonly env?: NodeJS.ProcessEnv;
  /** Commands that are looked up run on it. */
  readonly node?: string;
  readonly user?: { readonly uid: number; readonly gid: number };
}

export interface Ended {
  /** The exit status. */
  readonly status: number;
  readonly stdout: string;
  /** What it printed, on stdout and stderr. */
  readonly output: string;
}

export class Consumer {
  readonly folder: string;
  /** What the manager has printed. */
  said = "";

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Installs into a new folder, which is removed at the end of the file, or of the test with `onTestFinished`. */
  static async install(
    { manager = "npm", packages = [], omitOptional = false }: Wanted = {},
    atEnd: (end: () => Promise<void>) => void = afterAll,
  ): Promise<Consumer> {
    const consumer = new Consumer(await mkdtemp(join(tmpdir(), "heartbit-consumer-")));
    atEnd(() => rm(consumer.folder, { recursive: true, force: true }));
    const [command, ...args] = await managerOf(manager);
    const omit = (option: string): string[] => (omitOptional ? [option] : []);
    const options = {
      npm: ["install", "--no-audit", "--no-fund", "--prefer-offline", ...omit("--omit=optional")],
      pnpm: ["add", ...omit("--no-optional")],
      bun: ["add", ...omit("--omit=optional")],
      "yarn-pnp": ["add"],
      // It would take an earlier tarball of the same version from its cache.
      yarn: ["add", "--cache-folder", join(consumer.folder, ".cache"), ...omit("--ignore-optional")],
    }[manager];
    // A package.json of its own, so that no folder above is taken for the program's.
    await consumer.write({ "package.json": '{ "name": "newcomer", "version": "1.0.0" }\n' });
    // Without a lock file no folder above is taken for the project's; a cache of its own, as above.
    if (manager === "yarn-pnp") await consumer.write({ "yarn.lock": "", ".yarnrc.yml": PNP });
    const tarball = inject("tarball");
    const archive = manager === "yarn-pnp" ? `heartbit@file:${tarball}` : tarball;
    consumer.said = (await consumer.must(command, [...args, ...options, archive, ...packages])).output;
    await cp(programs, consumer.folder, { recursive: true });
    return consumer;
  }

  /** Runs a command in the folder. */
  async run(command: string, args: readonly string[], { env, node, user }: How = {}): Promise<Ended> {
    // Without the runner's own settings, which would be taken for the program's.
    const own = Object.entries(process.env).filter(
      ([name]) => !/^(npm_|NODE_(?!EXTRA_CA_CERTS)|VITEST)/.test(name),
    );
    const path = node === undefined ? {} : { PATH: `${dirname(node)}${delimiter}${process.env["PATH"]}` };
    const options = { cwd: this.folder, env: { ...Object.fromEntries(own), ...path, ...env }, ...user };
    type Result = { code?: unknown; stdout?: string; stderr?: string };
    const ran = promisify(execFile)(command, args, options).catch((error: Result) => error);
    const { code = 0, stdout = "", stderr = "" } = (await ran) as Result;
    return { status: Number(code), stdout, output: stdout + stderr };
  }

  /** Runs a command that must succeed. */
  async must(command: string, args: readonly string[], how: How = {}): Promise<Ended> {
    const ended = await this.run(command, args, how);
    expect(ended, `${command} ${args.join(" ")}:\n${ended.output}`).toMatchObject({ status: 0 });
    return ended;
  }

  /** Starts a program on Node, which ends with the test at the latest. */
  start(args: readonly string[], env: NodeJS.ProcessEnv): Running {
    const options = { cwd: this.folder, env: { ...process.env, NODE_OPTIONS: "", ...env } };
    const running = new Running(
      spawn(process.execPath, args, { ...options, stdio: ["ignore", "pipe", "pipe"] }),
    );
    onTestFinished(async () => {
      running.child.kill("SIGKILL");
      await running.ended;
    });
    return running;
  }

  /** Writes files, and the folders that they are in. */
  async write(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, text] of Object.entries(files)) {
      const file = join(this.folder, name);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, text);
    }
  }

  /** Notes with the test what is installed here: `express 5.3.0, fastify 5.12.8`. */
  async note({ annotate }: TestContext, ...names: string[]): Promise<void> {
    const versions = names.map((name) => {
      const text = readFileSync(join(this.folder, "node_modules", name, "package.json"), "utf8");
      return `${name} ${(JSON.parse(text) as { version: string }).version}`;
    });
    await annotate(versions.join(", "));
  }
}

/**
 * The page, at the path with and without a slash, and all that it names, with redirects followed as a browser does; the
 * keys; and that the stream of changes begins.
 */
export async function checkDashboard(url: string, key: string): Promise<void> {
  for (const path of [url, `${url}/`]) {
    const page = await fetch(path); // rejects at a loop of redirects
    const named = [...(await page.text()).matchAll(/(?:src|href)="(\.[^"]+)"/g)];
    expect([page.status, named.length]).toEqual([200, 4]);
    for (const [, link = ""] of named) expect((await fetch(new URL(link, page.url))).status).toBe(200);
  }
  expect(await (await fetch(`${url}/api/keys`)).text()).toContain(`"key":"${key}`);
  const stop = new AbortController();
  const { body } = await fetch(`${url}/api/changes`, { signal: stop.signal });
  const { value } = await body!.getReader().read();
  expect(new TextDecoder().decode(value)).toContain("event: hello");
  stop.abort();
}
