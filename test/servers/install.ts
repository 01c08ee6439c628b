/**
 * The programs that can serve: found, or installed into a cache folder outside of the repository. Nothing is fetched
 * by its address, only by its name from a registry, with the registry's own client.
 */
import { execFile } from "node:child_process";
import { access, constants, mkdir, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

const PY_VERSION = "0.7.0b3";
const RS_VERSION = "0.5.3-beta.193";
const MONGOD_VERSION = "8.0.4";
const INSTALL_MS = 15 * 60_000;
const PYTHONS = ["python3", "python3.13", "python3.12", "python3.11", "python3.10"];
/** How long a download may take to begin. */
const REACH_MS = 5000;

/** The stand-ins are SecantusDB, on MongoDB's storage engine: written in Python, and in Rust ten times as fast. */
export type StandIn = "rs" | "py";

/** Where what is installed once for the tests lies. */
export const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "heartbit");
const folders = {
  rs: join(cache, `secantusd-rs-${RS_VERSION}`),
  py: join(cache, `secantusd-py-${PY_VERSION}`),
};
const programs = { rs: join(folders.rs, "bin", "secantusd-rs"), py: join(folders.py, "bin", "secantusd-py") };

/** The path of the stand-in, if it is installed. */
export async function findStandIn(program: StandIn): Promise<string | undefined> {
  return (await isExecutable(programs[program])) ? programs[program] : undefined;
}

export async function findMongod(): Promise<string | undefined> {
  return onPath("mongod");
}

/** The path of the stand-in, installed where it is not there. Rejects with what is missing for that. */
export async function installStandIn(program: StandIn, say: (line: string) => void): Promise<string> {
  const found = await findStandIn(program);
  if (found !== undefined) return found;
  await mkdir(cache, { recursive: true });
  say(`installing into ${folders[program]}, once${program === "rs" ? ", in some 4 minutes" : ""}`);
  try {
    await (program === "rs" ? installRs() : installPy());
  } catch (error) {
    await rm(folders[program], { recursive: true, force: true });
    throw error;
  }
  return programs[program];
}

async function installRs(): Promise<void> {
  if ((await onPath("cargo")) === undefined) throw new Error("cargo is not on the PATH");
  const version = ["--version", RS_VERSION, "--ignore-rust-version"];
  await run("cargo", ["install", "secantus-mdb", ...version, "--root", folders.rs], {
    timeout: INSTALL_MS,
    maxBuffer: 2 ** 26,
  });
}

async function installPy(): Promise<void> {
  await run(await newPython(), ["-m", "venv", folders.py]);
  const pip = ["-m", "pip", "install", "--quiet", `SecantusDB==${PY_VERSION}`];
  await run(join(folders.py, "bin", "python"), pip, { timeout: INSTALL_MS, maxBuffer: 2 ** 26 });
}

async function newPython(): Promise<string> {
  for (const name of PYTHONS) {
    const isNew = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
    const found = await run(name, ["-c", isNew]).then(
      () => true,
      () => false,
    );
    if (found) return name;
  }
  throw new Error("there is no Python >= 3.10 with venv on the PATH");
}

/** The path of a real mongod, downloaded by `mongodb-memory-server-core`; rejects quickly where it cannot be. */
export async function downloadMongod(say: (line: string) => void): Promise<string> {
  const { DryMongoBinary, MongoBinary } = await import("mongodb-memory-server-core");
  const { MongoBinaryDownloadUrl } =
    await import("mongodb-memory-server-core/lib/util/MongoBinaryDownloadUrl.js");
  const options = { version: MONGOD_VERSION, downloadDir: join(cache, "mongod") };
  const there = await DryMongoBinary.locateBinary(options);
  if (there !== undefined) return there;
  const { platform, arch } = process;
  const url = await new MongoBinaryDownloadUrl({ platform, arch, version: MONGOD_VERSION }).getDownloadUrl();
  await fetch(url, { method: "HEAD", signal: AbortSignal.timeout(REACH_MS) });
  say(`downloading mongod into ${options.downloadDir}, once`);
  return MongoBinary.getPath(options);
}

async function onPath(name: string): Promise<string | undefined> {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    if (folder !== "" && (await isExecutable(join(folder, name)))) return join(folder, name);
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
