import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { runScenario } from "./scenarios/scenario.ts";

/** `UPDATE=1 npx vitest run test/scenarios.test.ts` writes what happens now as what is expected. */
const update = process.env["UPDATE"] === "1";
const folder = join(process.cwd(), "test/scenarios");
const RULE = "---";

describe("the scenarios tell what their files say", () => {
  const files = readdirSync(folder).filter((file) => file.endsWith(".txt"));

  it.each(files)("%s", async (file) => {
    const path = join(folder, file);
    const [story = "", told = ""] = readFileSync(path, "utf8").split(`\n${RULE}\n`);
    const trace = `${(await runScenario(story)).join("\n")}\n`;
    if (update) writeFileSync(path, `${story.trimEnd()}\n${RULE}\n${trace}`);
    else expect(trace).toBe(told);
  });
});
