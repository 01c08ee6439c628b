/** For goals that are not reached: where the time goes, as profiles have shown. By the goal's id. */

const READS =
  "The bytes are those of three commands and their answers, some 300 each, and 250 for the bits of each 1,024 processes.";
const STREAM =
  "Of what heartbit adds, its write is an upsert with five indexes instead of an insert, and for an update or a kill its watcher reads the changed record, since the event of an update has no key: a second round trip.";
const STARTING = "It is the server's work of inserting the documents, 250 a command, into five indexes.";

const COUNT =
  "In every fourth period a process has the server count its open records. MongoDB goes through an index for that; this stand-in takes some 6 µs a key (idle part: 10,000 keys cost 14 ms a period of 2 s more than one), which is most of heartbit's cost here. Without that it is one command a period for each process, and a `findAndModify` costs this server several times what a `SET` costs Redis.";
const LOADING = "That is the CPU time of this process, which decodes a million documents: see the table.";
const SETTLING =
  "All keys are gone through when the long dead are forgotten. Otherwise the work of a slot does not depend on the number of keys: for the roster alone, with 300,000 keys, 0.1 to 0.3 ms, and 30 ms more in every thirtieth slot.";

export const whereTimeGoes: Readonly<Record<string, string>> = {
  "keeping-1-keys-naive MongoDB":
    "With one key for each process heartbit has nothing to save. Its ping is a `findAndModify`, which costs this server 1.2 to 1.6 of naive's `update` (see One ping), and in every fourth period it has the server count its records: another 0.25 of a command a period.",
  "keeping-100-keys-etcd": "That is within the spread of the rounds: see the table.",
  "keeping-1000-keys-Redis": COUNT,
  "keeping-1000-keys-Redis, a key each": COUNT,
  "reading-1000": READS,
  "reading-10000": READS,
  "reading-100000": READS,
  "told-p50": STREAM,
  "told-p99-idle": STREAM,
  "told-p99-busy": STREAM,
  starting: STARTING,
  "starting-cpu": STARTING,
  "million-load": LOADING,
  "million-quiet": SETTLING,
  "million-memory":
    "For each key: its record takes some 200 bytes (50 of them its name), an entry in each of two maps some 75, and its link to its session some 40.",
  "million-deaths":
    "Reporting takes 4 ms at a time. Longer blocks are the garbage collector among a million keys, and a process that waits for a CPU.",
  blocking:
    "Work is done in slices of 4 ms; longer turns are the garbage collector's, with two presences of 200,000 keys in one process, and code that runs for the first time.",
  packed:
    "It has each module twice, as an ES module and as CommonJS, and all of the documentation, with two pictures of the dashboard of 159 kB together.",
  "sqlite-starts": "64 processes of Node start on two processors, which others used as well: see the load.",
};
