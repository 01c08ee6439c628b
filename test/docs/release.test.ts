/** The checklist of a release, on a package that is made up. */
import { execFile, execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";

const script = join(process.cwd(), "scripts/release-check.mjs");

const PACKAGE = {
  name: "made-up",
  version: "1.2.3",
  description: "Made up.",
  license: "MIT",
  repository: "github:made/up",
  homepage: "https://made.example/up",
  bugs: "https://made.example/up/issues",
  author: "Ann Maker",
  files: ["dist", "CHANGELOG.md"],
  exports: { ".": "./dist/index.js" },
  scripts: { check: "node --version" },
};

/** Commits a package. Gives its folder. */
function make(manifest: object = {}, version = "1.2.3", packages: object = {}, date = "2026-11-23"): string {
  const root = mkdtempSync(join(tmpdir(), "heartbit-release-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, "dist"));
  const own = { name: "made-up", version };
  const files = {
    "package.json": JSON.stringify({ ...PACKAGE, ...manifest }),
    "package-lock.json": JSON.stringify({ ...own, lockfileVersion: 3, packages: { "": own, ...packages } }),
    "CHANGELOG.md": `## 1.2.3 - ${date}\n`,
    "README.md": "",
    LICENSE: "",
    "dist/index.js": "",
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text);
  for (const command of ["init --quiet", "add .", "commit --quiet --no-verify -m made-up"]) {
    const user = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
    execFileSync("git", [...user, ...command.split(" ")], { cwd: root });
  }
  return root;
}

/** What it says is to be done, and its exit status. The audit asks a registry, and is left out. */
async function todo(root: string, tag: string): Promise<{ status: number; todo: string[] }> {
  return new Promise((resolve) => {
    const args = [script, "--root", root, "--no-audit", "--tag", tag];
    execFile(process.execPath, args, (error, stdout) => {
      const found = [...stdout.matchAll(/^TODO {2}(.*)$/gm)].map(([, name = ""]) => name);
      resolve({ status: Number(error?.code ?? 0), todo: found });
    });
  });
}

it("a package that is ready is called so", async () => {
  expect(await todo(make(), "v1.2.3")).toEqual({ status: 0, todo: [] });
});

it("what is not ready is named", async () => {
  const manifest = {
    repository: undefined,
    author: undefined,
    exports: { ".": "./dist/gone.js" },
    files: ["dist", "secrets.txt"],
  };
  const packages = {
    "node_modules/free": { version: "1.0.0", license: "(GPL-3.0 OR MIT)" },
    "node_modules/tool": { version: "1.0.0", license: "GPL-3.0", dev: true },
    "node_modules/bound": { version: "1.0.0", license: "GPL-3.0" },
  };
  const root = make(manifest, "1.2.2", packages, "unreleased");
  writeFileSync(join(root, "secrets.txt"), "");
  expect(await todo(root, "v1.2.4")).toEqual({
    status: 1,
    todo: [
      "the tag is that of the version",
      "the lock file is of the same version",
      "the changelog has the version, with its date",
      "the package says where it comes from, as its provenance must",
      "the page at npm says where to read more, where to report faults, and who made it",
      "nothing is uncommitted",
      "all that the package exports was built",
      "what is published is the library, and nothing else",
      "what is installed with it may be used by anybody",
    ],
  });
});
