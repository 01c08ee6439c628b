/** The connections of mongoose. */
import { Consumer } from "./consumer.ts";
import { expectSame, type Tools, versionsIn } from "./tools.ts";

export async function mongoose({ report, tarball, newDatabase }: Tools): Promise<void> {
  for (const major of [8, 9]) {
    await report.try(`mongoose ${major}: mongoose.connection, and connection.db`, async () => {
      await using consumer = await Consumer.install({ tarball, packages: [`mongoose@${major}`] });
      const { stdout, output } = await consumer.run(process.execPath, ["mongoose.mjs", newDatabase()]);
      expectSame(stdout, "connection k\ndb k\n", output);
      return versionsIn(consumer, "mongoose", "mongodb");
    });
  }
}
