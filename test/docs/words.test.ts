/**
 * The English of the code and the documentation: plain words, standard terms, and lines of 120 columns. Comments,
 * messages, pages and names in the code are checked. Public names are exempt.
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

/** Names in code, which may be parts of longer ones. */
const AVOIDED_NAMES =
  /(?<![a-z])(told|telling|teller|judg(e|ing|ement)|trouble|doubt|audit|broom|happening|foreign|lookout|anew)|(Told|Telling|Teller|Judg(e|ing|ement)|Trouble|Doubt|Audit|Broom|Happening|Foreign|Lookout)/;
/** Fields of the JSON that `demo` and `bench` print, and what computes them. */
const PUBLIC_NAMES = /\b(told|toldMs|toldAfterMs|troubles?)\b/g;
const PRINTS_PUBLIC_NAMES = join("src", "cli");

const sources = ["src", join("dashboard", "src")].flatMap((folder) =>
  readdirSync(join(process.cwd(), folder), { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(tsx?|css)$/.test(name))
    .map((name) => join(folder, name)),
);

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
  const comment = /^\s*(\{?\/\*\*?|\*|\/\/)(.*)$/.exec(code)?.[2] ?? / \/\/ (.*)$/.exec(code)?.[1];
  const texts = [...code.matchAll(/"([^"]*)"|`([^`]*)`/g)].map(
    ([, plain, template]) => plain ?? template ?? "",
  );
  // Texts of several words are messages. Others are names.
  return [
    comment ?? "",
    ...texts.filter((text) => / /.test(text)).map((text) => text.replace(/\$\{[^}]*\}/g, "")),
  ].join(" ");
}

/** The line without its comments and texts. */
function namesOf(code: string): string {
  if (/^\s*(\{?\/\*|\*|\/\/)/.test(code)) return "";
  return code.replace(/"[^"]*"|`[^`]*`| \/\/ .*$/g, "");
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
  it("comments and messages in src and in the dashboard's page use the standard terms", () => {
    const lines = sources.flatMap(linesOf).map(({ where, text }) => ({ where, text: wordsOf(text) }));
    expect(faultsOf(lines)).toEqual([]);
  });

  it("names in src and in the dashboard's page do, too", () => {
    const names = sources.flatMap(linesOf).map(({ where, text }) => ({ where, text: namesOf(text) }));
    const faults = names.filter(({ where, text }) => {
      const isPublic = where.startsWith(PRINTS_PUBLIC_NAMES);
      return AVOIDED_NAMES.test(isPublic ? text.replace(PUBLIC_NAMES, "") : text);
    });
    expect(faults).toEqual([]);
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
    expect(AVOIDED_NAMES.test(namesOf("  const told = of(isDoubtful);"))).toBe(true);
    expect(AVOIDED_NAMES.test(namesOf('  say("told"); // told'))).toBe(false);
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
