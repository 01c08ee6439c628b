// A presence in the database of a program that uses mongoose.
import { Presence } from "heartbit";
import mongoose from "mongoose";

await mongoose.connect(process.argv[2]);
const { connection } = mongoose;
for (const [name, target] of Object.entries({ connection, db: connection.db })) {
  const presence = await Presence.open(target, { name, periodMs: 1000 });
  await presence.pinger("k").start();
  const { keys } = await presence.list();
  console.log(name, ...keys.map(({ key }) => key));
  await presence.close();
}
await mongoose.disconnect();
