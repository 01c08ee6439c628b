/** The connections of mongoose, and what the usual loggers make of a failure: the text, the stack, the namespace. */
import { expect, it, onTestFinished } from "vitest";
import { newDatabase } from "../../servers/database.ts";
import { Consumer } from "./consumer.ts";

it.each([8, 9])("mongoose %d: mongoose.connection, and connection.db", async (major) => {
  const consumer = await Consumer.install({ packages: [`mongoose@${major}`] }, onTestFinished);
  const { stdout } = await consumer.must(process.execPath, ["mongoose.mjs", newDatabase()]);
  expect(stdout).toBe("connection k\ndb k\n");
});

it("each logger shows the error's text and stack, the namespace and the key", async (test) => {
  const consumer = await Consumer.install({ packages: ["pino@10", "winston@3", "bunyan@2"] }, onTestFinished);
  for (const name of ["console", "pino", "winston", "bunyan"]) {
    const { output } = await consumer.run(process.execPath, ["loggers.mjs", name]);
    expect(output).toMatch(
      /heartbit workers: a listener of killed of the key .*worker\/7.* threw: no such queue/,
    );
    expect(output).toMatch(/Error: no such queue(?:\\n|\n) {4}at /);
  }
  await consumer.note(test, "pino", "winston", "bunyan");
});
