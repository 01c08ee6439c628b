// A program that is supervised: it holds its key while it runs.
import { Presence } from "heartbit";
import { store } from "../store.js";

const [name] = process.argv.slice(2);
const presence = await Presence.open(store, { name: "programs", periodMs: 1000 });

// It may have been told dead, and replaced: it makes room. The supervisor starts it again where nobody has.
presence.once("lapse", () => {
  process.exitCode = 1;
  void presence.close({ linger: true });
});
process.once("SIGTERM", () => void presence.close());

await presence.pinger(`program/${name}`).start();
