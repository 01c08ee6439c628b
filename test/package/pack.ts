/** The package as npm would publish it. */
import { execFile } from "node:child_process";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

export interface Tarball extends AsyncDisposable {
  readonly path: string;
  /** In bytes. */
  readonly size: number;
  /** Of all its files, in bytes. */
  readonly unpackedSize: number;
  /** The folder that was packed, and which of its files are in the tarball. */
  readonly folder: string;
  readonly files: readonly string[];
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
  type Packed = { filename: string; size: number; unpackedSize: number; files: { path: string }[] };
  const [{ filename, size, unpackedSize, files }] = JSON.parse(stdout) as [Packed];
  return {
    path: join(folder, filename),
    size,
    unpackedSize,
    folder,
    files: files.map(({ path }) => path),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
