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

/** Packs what is built in a folder, in a new one, which is removed with the tarball. `without`: a part that is left out. */
export async function pack(dist: string, without?: string): Promise<Tarball> {
  const folder = await mkdtemp(join(tmpdir(), "heartbit-pack-"));
  for (const file of ["package.json", "README.md", "CHANGELOG.md", "LICENSE"]) {
    await cp(join(process.cwd(), file), join(folder, file));
  }
  await cp(dist, join(folder, "dist"), { recursive: true });
  if (without !== undefined) await rm(join(folder, without), { recursive: true });
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
