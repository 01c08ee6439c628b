// What is said where the package of a store is not installed.
import { Presence } from "heartbit";

for (const target of process.argv.slice(2)) {
  await Presence.open(target).then(
    () => console.log("opened"),
    ({ code, message }) => console.log(`${code}: ${message}`),
  );
}
