/** For goals that are not reached: where the time goes, as profiles have shown. By the goal's id. */

const READS =
  "The bytes are those of three commands and their answers, some 300 each, and 250 for the bits of each 1,024 processes.";
const STREAM =
  "Of the additional 0.6 ms or so, a third each is our code until the driver has the command, the server's upsert with five indexes instead of an insert, and a bigger event and its path to the listener, which waits for nothing. Each consists of many small pieces of code that are cold when nothing else happens: at 1,000 joins a second the two differ by a fifth.";
const STARTING =
  "Each key is an upsert, because only an update can be stamped with the server's date. Side by side on this server, with the same documents, an upsert takes three times the CPU of an insert (145 and 49 µs with the five indexes, 94 and 32 µs without), in batches of any size, ordered or not. An insert would need a stamp by the client, and so a reader that looks further back.";

export const whereTimeGoes: Readonly<Record<string, string>> = {
  "keeping-1000-Redis":
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
