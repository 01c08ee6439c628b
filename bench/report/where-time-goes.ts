/** For goals that are not reached: where the time goes, as profiles have shown. By the goal's id. */

const READS =
  "The bytes are those of three commands and their answers, some 300 each, and 250 for the bits of each 1,024 processes.";
const STREAM =
  "The machine was shared in this run, and a raw change stream's p99 was far above what it is alone. Of what heartbit adds, its write is an upsert with five indexes instead of an insert, and for an update or a kill its watcher reads the changed record, since the event of an update has no key: a second round trip.";
const STARTING =
  "Each key is an upsert, because only an update can be stamped with the server's date. Side by side on this server, with the same documents, an upsert takes three times the CPU of an insert (145 and 49 µs with the five indexes, 94 and 32 µs without, on this machine while it was shared), in batches of any size, ordered or not. An insert would need a stamp by the client, and so a reader that looks further back.";

export const whereTimeGoes: Readonly<Record<string, string>> = {
  "keeping-1-keys-naive MongoDB":
    "With one key for each process heartbit has nothing to save. Its ping is a `findAndModify`, which costs this server 1.23 of naive's `update` (see One ping), and in every fourth period it has the server count its records: another 0.25 of a command a period.",
  "keeping-1000-keys-Redis":
    "Each process is one command a period for both, and a `findAndModify` costs this server several times what a `SET` costs Redis. What a process holds makes no difference to either.",
  "reading-1000": READS,
  "reading-10000": READS,
  "reading-100000": READS,
  "told-p50": STREAM,
  "told-p99-idle": STREAM,
  "told-p99-busy": STREAM,
  starting: STARTING,
  "starting-cpu": STARTING,
  "million-load":
    "The client is busy all the time: a third is the driver's decoding, a quarter the garbage collector, the rest the roster and the notifications.",
  "million-memory":
    "For each key: its record takes some 200 bytes (50 of them its name), an entry in each of two maps some 75, and its link to its session some 40.",
  "million-deaths":
    "Reporting takes 4 ms at a time. Longer blocks are the garbage collector among a million keys, and a process that waits for a CPU.",
};
