import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isInstalled, needs } from "../support/needs.ts";
import { heartbit } from "./heartbit.ts";
import { inTerminal, TAB } from "./terminal.ts";

const scripts: Record<string, string> = {};
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "heartbit-test-"));
  for (const shell of ["bash", "zsh", "fish"]) {
    scripts[shell] = join(directory, shell);
    await writeFile(scripts[shell], (await heartbit(["completion", shell], {}, afterAll)).stdout);
  }
});
afterAll(() => rm(directory, { recursive: true }));

/** What a line that ends at the cursor is completed to, and what is offered. */
const CASES: readonly (readonly [line: string, offered: readonly string[]])[] = [
  ["heartbit do", ["doctor"]],
  ["heartbit d", ["demo", "doctor", "drop"]],
  ["heartbit wait --de", ["--dead"]],
  ["heartbit ls --st", ["--store"]],
  ["heartbit completion ", ["bash", "fish", "zsh"]],
  ["heartbit --store x drop --y", ["--yes"]],
];

/** What bash offers, in order. */
async function offeredByBash(line: string): Promise<string[]> {
  const words = line.split(" ").map((word) => `'${word}'`);
  const script = `source ${scripts["bash"]}; COMP_WORDS=(${words.join(" ")}); COMP_CWORD=${words.length - 1}; _heartbit; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await promisify(execFile)("bash", ["--norc", "-c", script]);
  return stdout
    .split("\n")
    .filter((word) => word !== "")
    .toSorted();
}

describe("completion in bash", () => {
  it.each(CASES)("completes %j", async (line, words) => {
    expect(await offeredByBash(line)).toEqual(words);
  });

  it("completes the command that run runs, and the files that it is given", async () => {
    expect(await offeredByBash("heartbit run key prin")).toContain("printf");
    expect(await offeredByBash("heartbit run key -- prin")).toContain("printf");
    expect(await offeredByBash("heartbit run key --restart -- cat packa")).toContain("package.json");
    expect(await offeredByBash("heartbit run key --re")).toEqual(["--restart"]);
  });

  it("offers nothing for what is the user's own", async () => {
    expect(await offeredByBash("heartbit ls --name ")).toEqual([]);
    expect(await offeredByBash("heartbit kill ")).toEqual([]);
  });
});

describe("completion in fish", () => {
  needs(isInstalled("fish"), "fish is not on the PATH: install it");

  it.each(CASES)("completes %j", async (line, words) => {
    const { stdout } = await promisify(execFile)("fish", [
      "--no-config",
      "-c",
      `source ${scripts["fish"]}; complete -C '${line}'`,
    ]);
    const offered = stdout.split("\n").map((row) => row.split("\t")[0] ?? "");
    expect(offered.filter((word) => word !== "").toSorted()).toEqual(words);
  });
});

describe("completion in zsh", () => {
  needs(isInstalled("zsh"), "zsh is not on the PATH: install it");

  it.each(CASES)("completes %j", async (line, words) => {
    const { running, type } = inTerminal(["zsh", "-f", "-i"]);
    type(`PS1='$ '; autoload -U compinit; compinit -D -u; source ${scripts["zsh"]}; print rea''dy\n`);
    await running.says("stdout", /ready/);
    type(line + TAB);
    const [first = ""] = words;
    const typed = line.slice(line.lastIndexOf(" ") + 1);
    if (words.length === 1)
      await running.says("stdout", new RegExp(`${typed}[^\\n]*${first.slice(typed.length)}`));
    else for (const word of words) await running.says("stdout", new RegExp(`${line}[^]*\\n[^]*${word}`));
  });
});
