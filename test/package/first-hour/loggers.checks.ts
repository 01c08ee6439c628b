/** What the usual loggers make of a failure: the text, the stack, the namespace. */
import { Consumer } from "./consumer.ts";
import { expectMatch, type Tools, versionsIn } from "./tools.ts";

export async function loggers({ report, tarball }: Tools): Promise<void> {
  await using consumer = await Consumer.install({ tarball, packages: ["pino@10", "winston@3", "bunyan@2"] });
  for (const name of ["console", "pino", "winston", "bunyan"]) {
    await report.try(`${name} shows the error's text and stack, the namespace and the key`, async () => {
      const { output } = await consumer.run(process.execPath, ["loggers.mjs", name]);
      const text = /heartbit workers: a listener of killed of the key .*worker\/7.* threw: no such queue/;
      expectMatch(output, text);
      expectMatch(output, /Error: no such queue(?:\\n|\n) {4}at /);
      return name === "console" ? "" : versionsIn(consumer, name);
    });
  }
}
