/** For goals that are not reached: where the time goes, as profiles have shown. By the goal's id. */

const COMMAND =
  "An `update` command costs this server some 80 µs however little it changes (an empty command 40), so pings differ little. The rest of heartbit's cost is its limits, `maxTimeMS` and `wtimeout`.";
const COMMANDS =
  "All of it is commands, 3.4 for each process: its ping (some two fifths, see the row of the pings alone), reading whether another process killed its keys, `hello` for the server's time, and occasionally reading its own records. Redis answers a pipeline of 100 `SET`s for less than one `update` costs this server.";
const READS =
  "The bytes are those of three commands and their answers, some 300 each, and 250 for the bits of each 1,024 processes.";
const STREAM =
  "Of the additional 0.6 ms or so, a third each is our code until the driver has the command, the server's upsert with four indexes instead of an insert, and a bigger event and its path to the listener, which waits for nothing. Each consists of many small pieces of code that are cold when nothing else happens: at 1,000 joins a second the two differ by a fifth.";
const QUIET =
  "Most of it is the cost of an idle client of the driver (above), which checks its pool of connections ten times a second. The rest is five or six commands, 1 to 2 ms each on this machine.";
const BUSY =
  "Reporting takes 4 ms at a time. Longer blocks are the garbage collector among a million keys, and a process that waits for a CPU: 9 to 16 ms in other runs.";

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
    "Each key is an upsert with four indexes in addition to its `_id`: 50 to 65 µs of the server (35 without any index), in batches of 250, four at a time. A plain insert would take 25, but the server cannot stamp it with a date.",
  "million-quiet": QUIET,
  "million-load":
    "The client is busy all the time: a third is the driver's decoding, a quarter the garbage collector, the rest the roster and the notifications.",
  "million-memory":
    "For each key: its record takes some 200 bytes (50 of them its name), an entry in each of two maps some 75, and its link to its session some 40.",
  "million-deaths": BUSY,
  import: "The machine was busy: it takes 16 ms otherwise.",
  packed: "Three quarters are code without comments; the rest are types and maps.",
};
