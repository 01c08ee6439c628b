import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { runScenario } from "./scenarios/scenario.ts";

const folder = join(process.cwd(), "test/scenarios");
const RULE = "---";

/** `npx vitest run scenarios --update` writes what happens now as what is expected. */
describe("the scenarios tell what their files say", () => {
  const files = readdirSync(folder).filter((file) => file.endsWith(".txt"));

  it.each(files)("%s", async (file) => {
    const path = join(folder, file);
    const [story = ""] = readFileSync(path, "utf8").split(`\n${RULE}\n`);
    const { trace, findings } = await runScenario(story);
    await expect(`${[story.trimEnd(), RULE, ...trace].join("\n")}\n`).toMatchFileSnapshot(path);
    expect(findings).toEqual([]);
  });
});
