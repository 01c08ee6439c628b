/** Programs that test with heartbit, in Jest and Vitest, with fake timers. */
import { join } from "node:path";
import { Consumer } from "./consumer.ts";
import { expectMatch, pinned, type Tools, versionsIn } from "./tools.ts";

export async function testing({ report, tarball }: Tools): Promise<void> {
  const packages = ["jest@30", ...pinned("vitest", "@photostructure/sqlite", "mongodb")];
  await using consumer = await Consumer.install({ tarball, packages });
  const { folder } = consumer;

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
