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
  [/\b(trouble|doubt)s?\b/i, "suspicion"],
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
const ABOUT_THE_JUDGE = /^(ARCHITECTURE|CONTRIBUTING|README|docs.(measurements|reliability))\.md$/;
/** The history may name what is gone. */
const UNCHECKED = "CHANGELOG.md";

/** Names in code, which may be parts of longer ones. */
const AVOIDED_NAMES =
  /(?<![a-z])(told|telling|teller|judg(e|ing|ement)|trouble|doubt|audit|broom|happening|foreign|lookout|anew)|(Told|Telling|Teller|Judg(e|ing|ement)|Trouble|Doubt|Audit|Broom|Happening|Foreign|Lookout)/;
/** Fields of the JSON that `demo` and `bench` print, and what computes them. */
const PUBLIC_NAMES = /\b(told|toldMs|toldAfterMs|troubles?)\b/g;
const PRINTS_PUBLIC_NAMES = join("src", "cli");

type Line = Readonly<Record<"where" | "text", string>>;

function linesOf(file: string): Line[] {
  const lines = read(file).split("\n");
  return lines.map((text, index) => ({ where: `${file}:${index + 1}`, text }));
}

const code = ["src", join("dashboard", "src")].flatMap((folder) =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(tsx?|css)$/.test(name))
    .flatMap((name) => linesOf(join(folder, name))),
);

/** The comment in a line of code, and its texts in quotes. */
function wordsOf(line: string): string {
  const comment = /^\s*(?:\{?\/\*\*?|\*|\/\/)(.*)$/.exec(line)?.[1] ?? / \/\/ (.*)$/.exec(line)?.[1] ?? "";
  const texts = Array.from(line.matchAll(/(["`])(.*?)\1/g), ([, , text = ""]) => text);
  // Texts of several words are messages. Others are names.
  const messages = texts.filter((text) => text.includes(" ")).map((text) => text.replace(/\$\{[^}]*\}/g, ""));
  return [comment, ...messages].join(" ");
}

/** The line without its comments and texts. */
function namesOf(line: string): string {
  return /^\s*(\{?\/\*|\*|\/\/)/.test(line) ? "" : line.replace(/"[^"]*"|`[^`]*`| \/\/ .*$/g, "");
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
    expect(faultsOf(code.map(({ where, text }) => ({ where, text: wordsOf(text) })))).toEqual([]);
  });

  it("names in src and in the dashboard's page do, too", () => {
    const faults = code.filter(({ where, text }) => {
      const isPublic = where.startsWith(PRINTS_PUBLIC_NAMES);
      return AVOIDED_NAMES.test(isPublic ? namesOf(text).replace(PUBLIC_NAMES, "") : namesOf(text));
    });
    expect(faults).toEqual([]);
  });

  it("so do the pages", () => {
    const faults = pages.map((page) => {
      const avoided = ABOUT_THE_JUDGE.test(page) ? AVOIDED.filter(([word]) => !word.test("judge")) : AVOIDED;
      return page === UNCHECKED ? [] : faultsOf(linesOf(page), avoided);
    });
    expect(faults.flat()).toEqual([]);
  });

  it("the check finds such a word in a comment, a message and a page", () => {
    const texts = [
      wordsOf("  /** Who has pinged is told. */"),
      wordsOf('  say("it was told dead");'),
      wordsOf("  const told = of(trouble);"),
      "`vouchedUntil` is public",
    ];
    expect(texts.map((text) => faultsOf([{ where: "a", text }]).length)).toEqual([2, 1, 0, 0]);
    expect(AVOIDED_NAMES.test(namesOf("  const told = of(isDoubtful);"))).toBe(true);
    expect(AVOIDED_NAMES.test(namesOf('  say("told"); // told'))).toBe(false);
  });
});

describe(`no line is longer than ${COLUMNS} columns`, () => {
  it("in src, the contents of texts in quotes aside", () => {
    const texts = /"[^"]*"|'[^']*'|`[^`]*`|\/[^/ ]{40,}\/\w*/g;
    expect(tooLong(code.map(({ where, text }) => ({ where, text: text.replace(texts, '""') })))).toEqual([]);
  });

  it("in the pages, tables, pictures and addresses aside", () => {
    const lines = pages.flatMap(linesOf).filter(({ text }) => !/^\s*(\||!\[)|:\/\//.test(text));
    expect(tooLong(lines)).toEqual([]);
  });
});
