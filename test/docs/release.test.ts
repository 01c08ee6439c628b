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
const LOCK = {
  name: "made-up",
  version: "1.2.3",
  lockfileVersion: 3,
  packages: { "": { name: "made-up", version: "1.2.3" } as object },
};

interface Made {
  readonly manifest?: object;
  readonly lock?: object;
  readonly changelog?: string;
}

function make({ manifest, lock, changelog = "## 1.2.3 - 2026-11-23\n" }: Made): string {
  const root = mkdtempSync(join(tmpdir(), "heartbit-release-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, "dist"));
  const files = {
    "package.json": JSON.stringify({ ...PACKAGE, ...manifest }),
    "package-lock.json": JSON.stringify({ ...LOCK, ...lock }),
    "CHANGELOG.md": changelog,
    "README.md": "",
    LICENSE: "",
    "dist/index.js": "",
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text);
  const git = (...args: string[]): void => {
    execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@example.com", ...args], { cwd: root });
  };
  git("init", "--quiet");
  git("add", ".");
  git("commit", "--quiet", "--no-verify", "-m", "made up");
  return root;
}

/** What it says is to be done, and its exit status. The audit asks a registry, and is left out. */
async function todo(root: string, ...args: string[]): Promise<{ status: number; todo: string[] }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [script, "--root", root, "--no-audit", ...args], (error, stdout) => {
      const found = [...stdout.matchAll(/^TODO {2}(.*)$/gm)].map(([, name = ""]) => name);
      resolve({ status: Number(error?.code ?? 0), todo: found });
    });
  });
}

it("a package that is ready is called so", async () => {
  expect(await todo(make({}), "--tag", "v1.2.3")).toEqual({ status: 0, todo: [] });
});

it("what is not ready is named", async () => {
  const root = make({
    manifest: {
      repository: undefined,
      author: undefined,
      exports: { ".": "./dist/gone.js" },
      files: ["dist", "secrets.txt"],
    },
    lock: {
      version: "1.2.2",
      packages: {
        "": { name: "made-up", version: "1.2.2" },
        "node_modules/free": { version: "1.0.0", license: "(GPL-3.0 OR MIT)" },
        "node_modules/tool": { version: "1.0.0", license: "GPL-3.0", dev: true },
        "node_modules/bound": { version: "1.0.0", license: "GPL-3.0" },
      },
    },
    changelog: "## 1.2.3 - unreleased\n",
  });
  writeFileSync(join(root, "secrets.txt"), "");
  expect(await todo(root, "--tag", "v1.2.4")).toEqual({
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
