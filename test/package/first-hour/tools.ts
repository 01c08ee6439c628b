/** What the checks of a newcomer's first hour work with. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Tarball } from "../pack.ts";
import type { Consumer } from "./consumer.ts";
import type { Report } from "./report.ts";

export interface Tools {
  readonly report: Report;
  readonly tarball: Tarball;
  /** The connection string of a new database. */
  readonly newDatabase: () => string;
}

/** One or more folders, and what is tried in them. */
export type Group = (tools: Tools) => Promise<void>;

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

/** `express 5.3.0, fastify 5.12.8`: what is installed there. */
export function versionsIn({ folder }: Consumer, ...names: string[]): string {
  return names
    .map((name) => {
      const text = readFileSync(join(folder, "node_modules", name, "package.json"), "utf8");
      return `${name} ${(JSON.parse(text) as { version: string }).version}`;
    })
    .join(", ");
}

/** Throws what was printed where it is not as wanted. */
export function expectSame(found: unknown, wanted: unknown, context = ""): void {
  const [one, other] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (one !== other) throw new Error(`got ${one} instead of ${other}${context === "" ? "" : `\n${context}`}`);
}

export function expectMatch(found: string, wanted: RegExp): void {
  if (!wanted.test(found)) throw new Error(`nothing matches ${wanted} in: ${found}`);
}
