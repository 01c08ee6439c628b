// The checklist of a release: says for each thing whether it is done, and what to do. Exits with 1 where one is not.
//
//     node scripts/release-check.mjs [--tag v1.2.3] [--root FOLDER] [--no-audit]
//
// It changes nothing but `dist`. The tests are not run here.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: { tag: { type: "string" }, root: { type: "string" }, "no-audit": { type: "boolean" } },
});
const root = options.root ?? fileURLToPath(new URL("..", import.meta.url));

const read = (...path) => readFileSync(join(root, ...path), "utf8");
const run = (command, ...args) =>
  execFileSync(command, args, {
    cwd: root,
    encoding: "utf8",
    shell: process.platform === "win32",
    stdio: ["ignore", "pipe", "pipe"],
  });
const pkg = JSON.parse(read("package.json"));

/** Licences under which what is installed with heartbit may be used by anybody. */
const LICENCES = new Set([
  "MIT",
  "ISC",
  "Apache-2.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "0BSD",
  "BlueOak-1.0.0",
]);
/** What of the repository is published, besides the folders in `files`. */
const PUBLISHED = /^(?:dist|docs|deploy|examples)\/|^(?:package\.json|README\.md|LICENSE|CHANGELOG\.md)$/;

/** Each gives what is to be done; nothing where it is done. */
const checks = {
  "the version is a semantic one": () =>
    /^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?$/.test(pkg.version) ? [] : [`set it: it is ${pkg.version}`],

  "the tag is that of the version": () =>
    options.tag === undefined || options.tag === `v${pkg.version}`
      ? []
      : [`the tag is ${options.tag}, the version ${pkg.version}`],

  "the lock file is of the same version": () => {
    const { version, packages } = JSON.parse(read("package-lock.json"));
    const same = version === pkg.version && packages[""].version === pkg.version;
    return same ? [] : ["npm install --package-lock-only"];
  },

  "the changelog has the version, with its date": () => {
    const heading = read("CHANGELOG.md")
      .split("\n")
      .find((line) => line.startsWith(`## ${pkg.version} `));
    if (heading === undefined) return [`add a heading: ## ${pkg.version} - <date>`];
    return /\d{4}-\d{2}-\d{2}$/.test(heading) ? [] : [`"${heading}" has no date`];
  },

  "the package says where it comes from, as its provenance must": () =>
    ["repository", "license", "description"].filter((field) => !pkg[field]).map((field) => `add "${field}"`),

  "the page at npm says where to read more, where to report faults, and who made it": () =>
    ["homepage", "bugs", "author"].filter((field) => !pkg[field]).map((field) => `add "${field}"`),

  "nothing is uncommitted": () => lines(run("git", "status", "--porcelain")),

  "lint, format, types and build pass": () => {
    run("npm", "run", "--silent", "check");
    return [];
  },

  "all that the package exports was built": () =>
    [...pathsIn(pkg.exports), ...pathsIn(pkg.bin)]
      .filter((path) => !existsSync(join(root, path)))
      .map((path) => `${path} is not there`),

  "what is published is the library, and nothing else": () => {
    const [{ files }] = JSON.parse(run("npm", "pack", "--dry-run", "--json", "--ignore-scripts"));
    const paths = files.map(({ path }) => path);
    const missing = ["README.md", "LICENSE", "CHANGELOG.md"].filter((path) => !paths.includes(path));
    return [
      ...missing.map((path) => `${path} is missing`),
      ...paths.filter((path) => !PUBLISHED.test(path)).map((path) => `${path} should not be published`),
    ];
  },

  "what is installed with it may be used by anybody": () => {
    const { packages } = JSON.parse(read("package-lock.json"));
    return Object.entries(packages)
      .filter(([path, { dev, link }]) => path !== "" && !dev && !link)
      .filter(([, { license }]) => !isFree(license))
      .map(([path, { license }]) => `${path}: ${license ?? "no licence is given"}`);
  },

  "the dependencies have no known vulnerabilities": () => {
    if (options["no-audit"] !== true) run("npm", "audit", "--omit=dev");
    return [];
  },
};

/** `(MIT OR GPL-3.0)` is free, since one may choose. */
function isFree(license = "") {
  return license
    .replace(/[()]/g, "")
    .split(" OR ")
    .some((one) => one.split(" AND ").every((part) => LICENCES.has(part.trim())));
}

function pathsIn(value) {
  if (typeof value === "string") return [value];
  return Object.values(value ?? {}).flatMap(pathsIn);
}

function lines(text) {
  return text.split("\n").filter((line) => line !== "");
}

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  let faults;
  try {
    faults = check();
  } catch (error) {
    faults = lines(`${error.stdout ?? ""}${error.stderr ?? ""}` || String(error)).slice(-20);
  }
  console.log(`${faults.length === 0 ? "ok  " : "TODO"}  ${name}`);
  for (const fault of faults) console.log(`      ${fault}`);
  if (faults.length > 0) failed++;
}
console.log(failed === 0 ? "ready" : `${failed} to do`);
process.exitCode = failed === 0 ? 0 : 1;
