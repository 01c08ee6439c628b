/**
 * The English of the code and the documentation: plain words, standard terms, and lines of 120 columns. What is checked is
 * what readers see: comments, messages and pages. Names in code are not, since some of them are public.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { pages, read } from "./pages.ts";

const COLUMNS = 120;

/** Each word, and what to write in its place. Public names that contain one are exempt. */
const AVOIDED: readonly (readonly [word: RegExp, instead: string])[] = [
  [/\b(told|telling)\b/i, "reported, notified; distinguished"],
  [/\btellers?\b/i, "notifier"],
  [/\b(beings?|holdings)\b(?! \w+(ed|en|t|d)\b)/i, "registration, registrations"],
  [/\bhearts?\b/i, "heartbeat"],
  [/\blookouts?\b/i, "evaluator"],
  [/\bjudge[ds]?\b|\bjudging\b|\bjudgements?\b/i, "evaluate, evaluation"],
  [/\bvouch\w*\b/i, "the lease; counts as alive until"],
  [/\btroubles?\b/i, "suspicion"],
  [/\bdoubts?\b/i, "suspicion"],
  [/\baudits?\b/i, "ownership check"],
  [/\bbrooms?\b/i, "what it cleans up"],
  [/\bhappenings?\b/i, "event"],
  [/\briders?\b|\brides? on\b/i, "session-backed, shares the bit of"],
  [/\bformer\b/i, "previous owner"],
  [/\banew\b/i, "again"],
  [/\bforth\b/i, "forward"],
  [/\bbesides\b/i, "also, in addition"],
  [/\bbut for\b/i, "except"],
  [/\bas it were\b/i, "nothing"],
  [/\bforeign\b/i, "unrecognized"],
  [/\b[Ww]ho (has|is|only|comes|holds|was|had|lives|pings)\b/, "a process that, a holder that"],
];

/** Public names, and phrases in which one of these words is the plain one. */
const EXEMPT =
  /vouchedUntil|vouched_seconds|told_after_periods|toldMs|toldAfterMs|troubles \}|"told"|\btold,|judge\.(test\.)?ts|--judge|[Ww]ho is alive|who-is-alive|only told|was told to fail/g;

/** Pages about the judge of the fault runs, which is one. */
const ABOUT_THE_JUDGE = new Set([
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "README.md",
  "docs/measurements.md",
  "docs/reliability.md",
]);
/** The history may name what is gone. */
const UNCHECKED = new Set(["CHANGELOG.md"]);

const sources = readdirSync(join(process.cwd(), "src"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => join("src", name));

interface Line {
  readonly where: string;
  readonly text: string;
}

const linesOf = (file: string): Line[] =>
  read(file)
    .split("\n")
    .map((text, index) => ({ where: `${file}:${index + 1}`, text }));

/** The comments and the texts in quotes of a line of code. */
function wordsOf(code: string): string {
  const comment = /^\s*(\/\*\*|\*|\/\/)(.*)$/.exec(code)?.[2] ?? / \/\/ (.*)$/.exec(code)?.[1];
  const texts = [...code.matchAll(/"([^"]*)"|`([^`]*)`/g)].map(
    ([, plain, template]) => plain ?? template ?? "",
  );
  // Texts of several words are messages. Others are names.
  return [
    comment ?? "",
    ...texts.filter((text) => / /.test(text)).map((text) => text.replace(/\$\{[^}]*\}/g, "")),
  ].join(" ");
}

function faultsOf(lines: readonly Line[], avoided = AVOIDED): string[] {
  return lines.flatMap(({ where, text }) => {
    const checked = text.replace(EXEMPT, "");
    return avoided.flatMap(([word, instead]) => {
      const found = word.exec(checked)?.[0];
      return found === undefined ? [] : [`${where}: "${found}": write: ${instead}`];
    });
  });
}

function tooLong(lines: readonly Line[]): string[] {
  return lines.filter(({ text }) => Array.from(text).length > COLUMNS).map(({ where }) => where);
}

describe("readers need not decode the English", () => {
  it("comments and messages in src use the standard terms", () => {
    const lines = sources.flatMap(linesOf).map(({ where, text }) => ({ where, text: wordsOf(text) }));
    expect(faultsOf(lines)).toEqual([]);
  });

  it.each(pages.filter((page) => !UNCHECKED.has(page)))("%s uses the standard terms", (page) => {
    const avoided = ABOUT_THE_JUDGE.has(page) ? AVOIDED.filter(([word]) => !word.test("judge")) : AVOIDED;
    expect(faultsOf(linesOf(page), avoided)).toEqual([]);
  });

  it("the check finds such a word in a comment, a message and a page", () => {
    expect(faultsOf([{ where: "a", text: wordsOf("  /** Who has pinged is told. */") }])).toHaveLength(2);
    expect(faultsOf([{ where: "b", text: wordsOf('  say("it was told dead");') }])).toHaveLength(1);
    expect(faultsOf([{ where: "c", text: wordsOf("  const told = of(trouble);") }])).toEqual([]);
    expect(faultsOf([{ where: "d", text: "`vouchedUntil` is public" }])).toEqual([]);
  });
});

describe(`no line is longer than ${COLUMNS} columns`, () => {
  it("in src, the contents of texts in quotes aside", () => {
    const lines = sources.flatMap(linesOf).map(({ where, text }) => {
      return { where, text: text.replace(/"[^"]*"|'[^']*'|`[^`]*`|\/[^/ ]{40,}\/\w*/g, '""') };
    });
    expect(tooLong(lines)).toEqual([]);
  });

  it.each(pages)("in %s, tables, pictures and addresses aside", (page) => {
    expect(tooLong(linesOf(page).filter(({ text }) => !/^\s*(\||!\[)|:\/\//.test(text)))).toEqual([]);
  });
});
