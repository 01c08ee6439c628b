import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { anchorsOf, pages, prose, read } from "./pages.ts";

interface Link {
  readonly page: string;
  readonly link: string;
  /** From the root of the repository. */
  readonly target: string;
  readonly anchor: string | undefined;
}

/** The links and pictures of a page, those of other sites left out. */
function linksOf(page: string): Link[] {
  return [...prose(page).matchAll(/\]\((?![a-z][a-z+.-]*:)([^)\s]+)\)/gi)].map(([, link = ""]) => {
    const [path = "", anchor] = link.split("#");
    return { page, link, target: path === "" ? page : join(dirname(page), path), anchor };
  });
}

describe("within the documentation", () => {
  const links = pages.flatMap(linksOf);

  it("every link leads to a file of the repository, and to a heading that is there", () => {
    const broken = links.filter(({ target, anchor }) => {
      if (target.startsWith("..") || !existsSync(target)) return true;
      return anchor !== undefined && target.endsWith(".md") && !anchorsOf(target).has(anchor);
    });
    expect(broken).toEqual([]);
    expect(links.length).toBeGreaterThan(100);
  });

  it("every file of the code that a page names is there", () => {
    const named = pages.flatMap((page) =>
      [...prose(page).matchAll(/`((?:src|test|bench|scripts)\/[\w./-]+\.\w+)`/g)].map(
        ([, file = ""]) => file,
      ),
    );
    expect(named.filter((file) => !existsSync(file))).toEqual([]);
  });

  it("every test that the tables of bugs name by its words is there", () => {
    const tests = ["test", join("src", "testing")].flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith(".ts"))
        .map((name) => read(join(folder, name))),
    );
    const named = Array.from(
      read("docs/reliability.md").matchAll(/^\|.*[)`\w], "([^"]+)" \|$/gm),
      ([, words = ""]) => words,
    );
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter((words) => !tests.some((test) => test.includes(words)))).toEqual([]);
  });

  it("every page of docs can be reached from the README", () => {
    const reached = new Set(["README.md"]);
    for (const at of reached) for (const { page, target } of links) if (page === at) reached.add(target);
    expect(pages.filter((page) => page.startsWith("docs/") && !reached.has(page))).toEqual([]);
  });
});
