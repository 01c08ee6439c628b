/** Programs that test with heartbit: the README, the recipe, Jest and Vitest with fake timers. */
import { join } from "node:path";
import { blocksOf } from "../../docs/pages.ts";
import { Consumer } from "./consumer.ts";
import { expectMatch, expectSame, pinned, type Tools, versionsIn } from "./tools.ts";

/** A block that uses a manual clock, followed by the closing of its presences. */
function blockThatCloses(page: string, ...presences: string[]): string {
  const block = blocksOf(page).find(
    ({ code }) => code.includes("link.fail()") || code.includes("store.fail()"),
  );
  if (block === undefined) throw new Error(`${page} has no such block`);
  const closing = presences.map((name) => `await ${name}.close();\nconsole.log("closed");`);
  // TypeScript without types is JavaScript.
  return [block.code.replace(": string[]", ""), ...closing].join("\n");
}

export async function testing({ report, tarball }: Tools): Promise<void> {
  const packages = ["jest@30", ...pinned("vitest", "@photostructure/sqlite", "mongodb")];
  await using consumer = await Consumer.install({ tarball, packages });
  const { folder } = consumer;

  await report.try("the README's testing snippet, followed by close()", async () => {
    await consumer.write({ "readme.mjs": blockThatCloses("README.md", "presence") });
    expectSame(await consumer.must(process.execPath, ["readme.mjs"]), "lapse\nclosed\n");
  });

  await report.try('"Tests without waiting", followed by close()', async () => {
    await consumer.write({ "recipe.mjs": blockThatCloses("docs/recipes.md", "worker", "boss") });
    expectSame(await consumer.must(process.execPath, ["recipe.mjs"]), "initial, expired\nclosed\nclosed\n");
  });

  const jest = (args: string[]): Promise<string> =>
    consumer.run(process.execPath, ["node_modules/jest/bin/jest.js", ...args]).then(({ output }) => output);
  const jestVersion = (): string => versionsIn(consumer, "jest");

  await report.try("Jest as it comes: every entry point and store by require, and fake timers", async () => {
    const output = await jest(["--rootDir", join(folder, "jest")]);
    expectMatch(output, /Tests: +3 passed, 3 total/);
    return jestVersion();
  });

  await report.try("Jest with fake timers everywhere", async () => {
    const config = JSON.stringify({ fakeTimers: { enableGlobally: true }, rootDir: join(folder, "jest") });
    expectMatch(await jest(["--config", config, "-t", "manual clock"]), /Tests: .*1 passed/);
    return jestVersion();
  });

  await report.try("Vitest with fake timers", async () => {
    const args = ["node_modules/vitest/vitest.mjs", "run", "--root", "vitest", "--reporter", "verbose"];
    await consumer.must(process.execPath, args);
    return versionsIn(consumer, "vitest");
  });
}
