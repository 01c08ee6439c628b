/** For goals that are not reached: where the time goes, as profiles have shown. By the goal's id. */

const COMMAND =
  "An `update` command costs this server some 80 µs however little it changes (an empty command 40), so pings differ little; the rest of heartbit's is its bounds, `maxTimeMS` and `wtimeout`.";
const COMMANDS =
  "All of it is commands, 3.4 a process: its ping (some two fifths: see the row of the pings alone), the look at whether somebody has killed what it holds, `hello`, since a client of the caller's own hears of the server's time only every 10 s, and now and then its own records. Redis answers a pipeline of 100 `SET`s for less than what one `update` costs this server.";
const READS =
  "Its bytes are those of three commands and their answers, some 300 each, and then 250 for the bits of each 1,024 processes.";
const STREAM =
  "Of some 0.6 ms more, a third each is our code until the driver has the command, the server's upsert with four indexes in place of an insert, and a bigger event and its way to the listener, which waits for nothing. Each is many small pieces of code that is cold when nothing else goes on: at 1,000 joins a second the two differ by a fifth.";
const QUIET =
  "Most of it is what a client of the driver costs that is connected and does nothing (above): ten times a second it looks through its pool of connections. The rest are five or six commands, 1 to 2 ms each on this machine.";
const BUSY =
  "What is told takes 4 ms at a time; what is longer is the garbage collector among a million keys, and a process that waits for a processor: it was 9 to 16 ms in other runs.";

export const whereTimeGoes: Readonly<Record<string, string>> = {
  "single-pings": COMMAND,
  "keeping-100-Redis": COMMANDS,
  "keeping-100-etcd": COMMANDS,
  "keeping-1000-Redis": COMMANDS,
  "reading-1000": READS,
  "reading-10000": READS,
  "reading-100000": READS,
  "told-p50": STREAM,
  "told-p99-idle": STREAM,
  "told-p99-busy": STREAM,
  starting:
    "Each key is an upsert with four indexes besides its `_id`: 50 to 65 µs of the server (35 of them without any index), in batches of 250, four at a time. A plain insert would take 25, but has no way to let the server stamp it with a date.",
  "million-quiet": QUIET,
  "million-load":
    "The client is busy all along: a third of it is the driver's decoding, a quarter is the garbage collector's, the rest is the roster and the telling.",
  "million-memory":
    "Of each key: its record some 200 bytes (50 of them its name), an entry in each of two maps some 75, and what ties it to its session some 40.",
  "million-deaths": BUSY,
  import: "The machine was busy: the same takes 16 ms when it is less so.",
  packed: "Three quarters of it are code without comments; the rest are types and maps.",
};
