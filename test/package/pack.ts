/** The package as npm would publish it. */
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzipSync } from "node:zlib";

const BLOCK_BYTES = 512;

export interface Tarball extends AsyncDisposable {
  readonly path: string;
  /** In bytes. */
  readonly size: number;
  /** Of all its files, in bytes. */
  readonly unpackedSize: number;
}

const PACKED = ["package.json", "README.md", "CHANGELOG.md", "LICENSE", "docs", "deploy", "examples"];
/** Not what somebody has installed to run the examples. */
const isSource = (path: string): boolean => !path.includes("node_modules", process.cwd().length);

/** Packs what is built in a folder, in a new one, which is removed with the tarball. `without`: parts that are left out. */
export async function pack(dist: string, without: readonly string[] = []): Promise<Tarball> {
  const folder = await mkdtemp(join(tmpdir(), "heartbit-pack-"));
  for (const name of PACKED) {
    await cp(join(process.cwd(), name), join(folder, name), { recursive: true, filter: isSource });
  }
  await cp(dist, join(folder, "dist"), { recursive: true });
  for (const part of without) await rm(join(folder, part), { recursive: true });
  const options = { cwd: folder, shell: process.platform === "win32" };
  const { stdout } = await promisify(execFile)("npm", ["pack", "--json", "--ignore-scripts"], options);
  const [{ filename, size, unpackedSize }] = JSON.parse(stdout) as [Tarball & { filename: string }];
  return {
    path: join(folder, filename),
    size,
    unpackedSize,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** A file in a tarball. */
export interface Entry {
  /** Without the folder `package` that all are in. */
  readonly path: string;
  readonly text: string;
}

export async function entriesOf({ path: file }: Tarball): Promise<Entry[]> {
  const tar = gunzipSync(await readFile(file));
  const entries: Entry[] = [];
  for (let at = 0; tar[at] !== 0;) {
    const field = (from: number, to: number): string =>
      tar.toString("latin1", at + from, at + to).replace(/\0.*$/s, "");
    const start = at + BLOCK_BYTES;
    const size = Number.parseInt(field(124, 136), 8);
    const path = field(0, 100).replace(/^package\//, "");
    entries.push({ path, text: tar.toString("utf8", start, start + size) });
    at = start + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
  }
  return entries;
}
