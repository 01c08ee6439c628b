/** Programs that test with heartbit in Jest. In Vitest this repository does so itself. */
import { join } from "node:path";
import { expect, it } from "vitest";
import { Consumer, STORES } from "./consumer.ts";

const consumer = await Consumer.install({ packages: ["jest@30", ...STORES] });
const rootDir = join(consumer.folder, "jest");
const config = JSON.stringify({ fakeTimers: { enableGlobally: true }, rootDir });

it.each([
  ["as it comes: every entry point and store by require, and fake timers", ["--rootDir", rootDir], 3],
  ["with fake timers everywhere", ["--config", config, "-t", "manual clock"], 1],
])("Jest %s", async (_what, args, passed) => {
  const { output } = await consumer.run(process.execPath, ["node_modules/jest/bin/jest.js", ...args]);
  expect(output).toMatch(new RegExp(`Tests: .*${passed} passed`));
});
