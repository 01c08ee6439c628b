/** The judge: each broken promise is found, each legal log passes, and each excuse names its limit. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { judge } from "./judge.ts";
import { absence, atOnce, runningOut } from "../../src/cli/demo/verdict.ts";
import { type Limit, LIMITS, PERIODS, POLL_MS_MAX, type Promised, PROMISES } from "./promises.ts";
import { tell } from "./story.ts";

/** `w` watches everything; `p` holds `k`, which `w` knows. Both have been well for a while. */
const BEGIN = `
  0.0  w watches *
  1.0  p starts k
  1.1  w hears k joined p`;

interface Told {
  readonly name: string;
  readonly story: string;
  /** The promise that did not hold; none: the log is legal. */
  readonly breaks?: Promised;
  /** The limit that excuses it. */
  readonly by?: Limit;
}

const CRASHES: readonly Told[] = [
  {
    name: "a crash is reported after its vouchedUntil, within 2.5 periods",
    story: `
      20.4  p crashes
      22.5  w hears k expired
      40.0  end`,
  },
  {
    name: "a crash is never reported",
    story: `
      20.4  p crashes
      40.0  end`,
    breaks: "late",
  },
  {
    name: "a crash is reported after 3 periods",
    story: `
      20.4  p crashes
      23.4  w hears k expired
      40.0  end`,
    breaks: "late",
  },
  {
    name: "a crash is reported before its vouchedUntil",
    story: `
      20.4  p crashes
      21.5  w hears k expired
      40.0  end`,
    breaks: "false death",
  },
  {
    name: "a crash is reported twice",
    story: `
      20.4  p crashes
      22.5  w hears k expired
      22.6  w hears k expired
      40.0  end`,
    breaks: "order",
  },
  {
    name: "a crash is reported, and the key is reported alive again although nobody holds it",
    story: `
      20.4  p crashes
      22.5  w hears k expired
      30.0  w hears k joined p
      30.1  w hears k expired
      40.0  end`,
    breaks: "late",
  },
  {
    name: "a crash in an outage is reported after the others have come back",
    story: `
      20.4  all cut off for 5
      22.0  p crashes
      27.6  w hears k expired
      40.0  end`,
  },
  {
    name: "a crash in an outage is not reported for five periods after it",
    story: `
      20.4  all cut off for 5
      22.0  p crashes
      30.9  w hears k expired
      40.0  end`,
    breaks: "late",
  },
  {
    name: "a crash is never reported while all watchers go stale and healthy again, without a fault",
    story: `
      0.0   v watches *
      1.1   v hears k joined p
      20.4  p crashes
      21.0  w stale
      21.0  v stale
      22.0  w healthy
      22.0  v healthy
      23.0  w stale
      23.0  v stale
      24.0  w healthy
      24.0  v healthy
      40.0  end`,
    breaks: "late",
  },
  {
    name: "a crash is not reported while a fault comes every 1.5 periods",
    story: `
      20.4  p crashes
      ${Array.from({ length: 14 }, (_, i) => `${20 + i * 1.5}  w disturbed for 0.1`).join("\n")}
      40.0  end`,
    by: "endless faults",
  },
  {
    name: "one of two holders crashes, and is listed for ever",
    story: `
      1.0   q starts k
      1.2   w hears k updated p q
      20.4  p crashes
      40.0  end`,
    breaks: "late",
  },
  {
    name: "a crash and a restart within 2.5 periods are reported as an update",
    story: `
      20.4  p crashes
      21.4  p starts k
      21.5  w hears k updated 101 p
      22.6  w hears k updated p
      40.0  end`,
  },
];

const FALSE_DEATHS: readonly Told[] = [
  {
    name: "a process that nothing has hit is reported dead",
    story: `
      20.6  w hears k expired
      20.7  w hears k joined p
      40.0  end`,
    breaks: "false death",
  },
  {
    name: "a process that survived a kill is reported dead long after",
    story: `
      10.0  w reports k
      10.1  w hears k killed
      11.3  p learns of k
      11.4  w hears k joined p
      30.0  w hears k killed
      30.1  w hears k joined p
      40.0  end`,
    breaks: "false death",
  },
  {
    name: "one kill is reported twice",
    story: `
      10.0  w reports k
      10.1  w hears k killed
      11.3  p learns of k
      11.4  w hears k joined p
      11.5  w hears k killed
      11.6  w hears k joined p
      40.0  end`,
    breaks: "false death",
  },
  {
    name: "a key is said to be killed, and nobody has killed it",
    story: `
      20.0  p cut off for 3
      22.5  w hears k killed
      22.6  p lapses
      23.1  w hears k joined p
      40.0  end`,
    breaks: "false death",
  },
  {
    name: "everyone is reported dead in an outage of all",
    story: `
      20.0  all cut off for 5
      22.5  w hears k expired
      22.6  p lapses
      25.1  w hears k joined p
      40.0  end`,
    breaks: "false death",
  },
  {
    name: "a process with a short fault of its own is reported dead beside a long outage of all",
    story: `
      20.0  all cut off for 5
      20.0  p cut off for 5.2
      25.6  w hears k expired
      22.6  p lapses
      25.9  w hears k joined p
      40.0  end`,
    breaks: "false death",
  },
  {
    name: "a process that was cut off alone long ago is reported dead",
    story: `
      10.0  p cut off for 1
      20.6  w hears k expired
      20.7  w hears k joined p
      40.0  end`,
    breaks: "false death",
  },
  {
    name: "a process whose reads were doubtful, but which pinged, is reported dead",
    story: `
      20.0  p disturbed for 5
      23.5  w hears k expired
      23.7  w hears k joined p
      40.0  end`,
    breaks: "false death",
  },
  {
    name: "a process that was cut off alone is reported dead before its lease has expired",
    story: `
      20.0  p cut off for 4
      21.3  w hears k expired
      21.6  p lapses
      24.1  w hears k joined p
      40.0  end`,
    breaks: "false death",
  },
  {
    name: "a process that was cut off for a moment is reported dead",
    story: `
      20.2  p cut off for 0.2
      22.6  w hears k expired
      22.7  w hears k joined p
      40.0  end`,
    breaks: "false death",
  },
  {
    name: "a process that was cut off alone is reported dead, has a lapse, and comes back",
    story: `
      20.0  p cut off for 3
      21.5  p lapses
      21.6  w hears k expired
      23.1  w hears k joined p
      40.0  end`,
    by: "cut off alone",
  },
  {
    name: "a process that was cut off alone beside an outage that left no slot empty is reported dead",
    story: `
      20.3  all cut off for 0.8
      21.1  p cut off for 0.6
      22.5  p lapses
      22.6  w hears k expired
      22.7  w hears k joined p
      40.0  end`,
    breaks: "false death",
  },
  {
    name: "a key is reported alive by a session that nobody has",
    story: `
      20.0  w hears x joined 999
      40.0  end`,
    breaks: "false death",
  },
  {
    name: "a process is reported dead when the store's clock steps",
    story: `
      20.0  clock steps 6
      22.6  w hears k expired
      22.7  w hears k joined p
      40.0  end`,
    breaks: "false death",
  },
  {
    name: "a watcher that starts while the slots stand still reports a crash once they go on",
    story: `
      19.5  p crashes
      20.0  clock steps -3
      21.0  v watches *
      21.0  v hears k initial p
      26.4  w hears k expired
      27.4  v hears k expired
      40.0  end`,
  },
  {
    name: "a watcher that starts when the store's clock has caught up reports a crash later than in 2.5 periods",
    story: `
      20.0  clock steps -3
      26.0  v watches *
      26.0  v hears k initial p
      26.1  p crashes
      28.4  w hears k expired
      29.4  v hears k expired
      40.0  end`,
    breaks: "late",
  },
  {
    name: "a process that was cut off while the store's clock stepped is reported dead early",
    story: `
      20.0  p cut off for 1
      20.1  clock steps 6
      20.9  w hears k expired
      21.0  p lapses
      21.1  w hears k joined p
      40.0  end`,
    by: "step while cut off",
  },
  {
    name: "a process that was cut off alone twice, once for nothing, is reported dead",
    story: `
      19.0  p cut off for 0.1
      20.1  p cut off for 0.4
      20.5  p lapses
      20.5  w hears k expired
      20.7  w hears k joined p
      40.0  end`,
    breaks: "false death",
  },
  {
    name: "a process that was cut off alone just before an outage of all is dead for a watcher that starts after it",
    story: `
      20.0  p cut off for 1.5
      21.5  all cut off for 4
      21.6  p lapses
      25.6  v watches k
      25.7  v hears k initial
      25.8  v hears k joined p
      40.0  end`,
    by: "cut off alone",
  },
  {
    name: "a process that was cut off alone long before an outage of all is dead for a watcher that starts after it",
    story: `
      15.0  p cut off for 1.5
      21.5  all cut off for 4
      23.6  p lapses
      25.6  v watches k
      25.7  v hears k initial
      25.8  v hears k joined p
      40.0  end`,
    breaks: "false death",
  },
  {
    name: "a process whose ping a lagging read lacks is reported dead",
    story: `
      20.0  p cut off for 2.1
      21.5  p lapses
      21.9  w lag 0.5 for 2
      22.6  w hears k expired
      22.9  w hears k joined p
      40.0  end`,
    by: "cut off alone",
  },
];

const LAPSES: readonly Told[] = [
  {
    name: "a process that was reported dead is not told of its lapse",
    story: `
      20.0  p cut off for 3
      21.6  w hears k expired
      23.1  w hears k joined p
      40.0  end`,
    breaks: "lapse",
  },
  {
    name: "a process that was paused is told of its lapse when it goes on",
    story: `
      20.0  p paused for 4
      21.6  w hears k expired
      24.0  p lapses
      24.1  w hears k joined p
      40.0  end`,
    by: "cut off alone",
  },
  {
    name: "a process that was paused is told of its lapse two periods after it went on",
    story: `
      20.0  p paused for 4
      21.6  w hears k expired
      24.1  w hears k joined p
      26.0  p lapses
      40.0  end`,
    breaks: "lapse",
  },
  {
    name: "a machine that slept learns of it with the answer to its next ping",
    story: `
      20.0  p asleep for 4
      21.6  w hears k expired
      24.3  p lapses
      24.4  w hears k joined p
      40.0  end`,
    by: "cut off alone",
  },
  {
    name: "a machine that slept never learns of it",
    story: `
      20.0  p asleep for 4
      21.6  w hears k expired
      24.4  w hears k joined p
      40.0  end`,
    breaks: "lapse",
  },
  {
    name: "a machine whose clock was set back while it slept never learns of it",
    story: `
      20.0  p set back asleep for 4
      21.6  w hears k expired
      24.4  w hears k joined p
      40.0  end`,
    by: "sleep that no clock shows",
  },
  {
    name: "a machine that slept does not learn of it, since the store's clock stepped back",
    story: `
      20.0  p asleep for 4
      21.6  w hears k expired
      24.1  clock steps -4
      24.4  w hears k joined p
      40.0  end`,
    by: "step after a sleep",
  },
];

const ENDS: readonly Told[] = [
  {
    name: "a kill and a stop are reported in their bounds",
    story: `
      1.0   p starts j
      1.1   w hears j joined p
      20.0  p kills k
      20.1  w hears k killed
      20.2  p stops j
      22.5  w hears j stopped
      40.0  end`,
  },
  {
    name: "a kill is reported after three periods",
    story: `
      20.0  p kills k
      23.0  w hears k killed
      40.0  end`,
    breaks: "late",
  },
  {
    name: "a close is reported as late as a stop",
    story: `
      20.0  p closes
      22.5  w hears k expired
      40.0  end`,
    breaks: "late",
  },
  {
    name: "a close while the store is away is reported like a crash",
    story: `
      20.0  all cut off for 3
      20.2  p closes
      25.5  w hears k expired
      40.0  end`,
  },
  {
    name: "a close that lingers is reported as a stop",
    story: `
      20.2  p lingers
      22.5  w hears k stopped
      40.0  end`,
  },
  {
    name: "a stop is reported at once",
    story: `
      20.2  p stops k
      20.3  w hears k stopped
      40.0  end`,
    breaks: "false death",
  },
  {
    name: "a planned absence is cut short",
    story: `
      20.2  p stops k 6
      24.5  w hears k stopped
      40.0  end`,
    breaks: "false death",
  },
  {
    name: "a planned absence runs out",
    story: `
      20.2  p stops k 6
      28.5  w hears k stopped
      40.0  end`,
  },
  {
    name: "a stop and a start within the time are not noticed, but for the later start",
    story: `
      20.2  p stops k
      21.0  p starts k
      21.1  w hears k updated p
      40.0  end`,
  },
  {
    name: "a kill whose process crashes before it was written is reported like a crash",
    story: `
      20.39 p kills k
      20.395 p crashes
      22.5  w hears k expired
      40.0  end`,
  },
  {
    name: "the record of an end was destroyed before the watcher read it",
    story: `
      20.2  p stops k
      20.5  store loses all
      40.0  end`,
    by: "destroyed end",
  },
];

const KILLS: readonly Told[] = [
  {
    name: "a holder whose key is killed learns of it, and takes it up again",
    story: `
      10.0  w reports k
      10.1  w hears k killed
      11.3  p learns of k
      11.4  w hears k joined p
      40.0  end`,
  },
  {
    name: "a holder whose key is killed never learns of it",
    story: `
      10.0  w reports k
      10.1  w hears k killed
      11.4  w hears k joined p
      40.0  end`,
    breaks: "kill",
  },
  {
    name: "a holder whose key is killed never takes it up again",
    story: `
      10.0  w reports k
      10.1  w hears k killed
      11.3  p learns of k
      40.0  end`,
    breaks: "lost",
  },
];

const KNOWN: readonly Told[] = [
  {
    name: "a watcher misses a start",
    story: `
      10.0  q starts j
      40.0  end`,
    breaks: "lost",
  },
  {
    name: "a watcher learns of a start after four periods",
    story: `
      10.0  q starts j
      14.0  w hears j joined q
      40.0  end`,
    breaks: "lost",
  },
  {
    name: "a watcher misses an update",
    story: `
      10.0  p updates k 2
      40.0  end`,
    breaks: "missed",
  },
  {
    name: "a watcher hears of an update",
    story: `
      10.0  p updates k 2
      10.1  w hears k updated p:2
      40.0  end`,
  },
  {
    name: "a process that was reported dead rightly is not reported alive again",
    story: `
      20.0  p cut off for 3
      21.5  p lapses
      21.6  w hears k expired
      40.0  end`,
    breaks: "lost",
  },
  {
    name: "two watchers hold different things true of a key that nobody holds any more",
    story: `
      0.0   v watches *
      1.1   v hears k joined p
      20.4  p crashes
      22.5  w hears k expired
      40.0  end`,
    breaks: "disagree",
  },
  {
    name: "a watcher of one key is told its state first, dead or alive",
    story: `
      10.0  v watches k
      10.1  v hears k initial p
      10.0  u watches x
      10.1  u hears x initial
      40.0  end`,
  },
  {
    name: "a watcher that starts right after a short outage first reports a key dead",
    story: `
      20.2  all cut off for 1.8
      22.0  v watches k
      22.01 v hears k initial
      22.3  v hears k joined p
      40.0  end`,
    by: "first state after a short outage",
  },
  {
    name: "a watcher that starts in quiet times first reports a key dead",
    story: `
      20.0  v watches k
      20.1  v hears k initial
      20.3  v hears k joined p
      40.0  end`,
    breaks: "false death",
  },
];

const ORDER: readonly Told[] = [
  {
    name: "a join is reported twice",
    story: `
      1.2   w hears k joined p
      40.0  end`,
    breaks: "order",
  },
  {
    name: "an update is reported twice",
    story: `
      10.0  p updates k 2
      10.1  w hears k updated p:2
      10.2  w hears k updated p:2
      40.0  end`,
    breaks: "order",
  },
  {
    name: "the death is reported before the join",
    story: `
      10.0  q starts j
      12.0  q kills j
      12.1  w hears j killed
      12.2  w hears j joined q
      12.3  w hears j killed
      40.0  end`,
    breaks: "order",
  },
  {
    name: "an update is reported of a key that is dead",
    story: `
      20.4  p crashes
      22.5  w hears k expired
      22.6  w hears k updated p
      22.7  w hears k expired
      40.0  end`,
    breaks: "order",
  },
  {
    name: "something is reported after unwatch",
    story: `
      10.0  w unwatches *
      11.0  q starts j
      11.1  w hears j joined q
      40.0  end`,
    breaks: "order",
  },
];

const HEALTH: readonly Told[] = [
  {
    name: "all watchers are stale for 25 periods without a fault",
    story: `
      0.0   v watches *
      1.1   v hears k joined p
      10.0  w stale
      10.0  v stale
      35.0  w healthy
      35.0  v healthy
      40.0  end`,
    breaks: "unhealed",
  },
  {
    name: "a watcher is stale in an outage, and until 2.5 periods after it was noticed to be over",
    story: `
      20.4  all cut off for 5
      20.5  w stale
      22.5  p lapses
      28.4  w healthy
      40.0  end`,
  },
  {
    name: "a watcher is stale for ten periods after an outage",
    story: `
      20.4  all cut off for 5
      20.5  w stale
      22.5  p lapses
      35.4  w healthy
      60.0  end`,
    breaks: "unhealed",
  },
  {
    name: "a process ends by itself",
    story: `
      20.4  p exits
      22.5  w hears k expired
      40.0  end`,
    breaks: "unhealed",
  },
  {
    name: "an error is not caught",
    story: `
      20.4  p breaks
      40.0  end`,
    breaks: "unhealed",
  },
];

const STORED: readonly Told[] = [
  {
    name: "what is stored is what lives and what died lately",
    story: `
      39.0  stored 2 sessions 1 registrations 40 pings
      40.0  end`,
  },
  {
    name: "sessions grow",
    story: `
      39.0  stored 3 sessions 1 registrations 40 pings
      40.0  end`,
    breaks: "storage",
  },
  {
    name: "registrations grow, although the store lost everything three times",
    story: `
      10.0  store loses all
      20.0  store loses all
      30.0  store loses all
      59.0  stored 2 sessions 8 registrations 40 pings
      60.0  end`,
    breaks: "storage",
  },
  {
    name: "pings grow",
    story: `
      39.0  stored 2 sessions 1 registrations 90 pings
      40.0  end`,
    breaks: "storage",
  },
  {
    name: "an emptied store: what is held is there again in time",
    story: `
      20.0  store loses all
      22.6  w hears k expired
      25.3  w hears k joined p
      60.0  end`,
    by: "destroyed records",
  },
  {
    name: "an emptied store: what is held never comes back",
    story: `
      20.0  store loses all
      22.6  w hears k expired
      60.0  end`,
    breaks: "lost",
  },
  {
    name: "an emptied store excuses no death ten periods later",
    story: `
      20.0  store loses all
      30.6  w hears k expired
      30.7  w hears k joined p
      60.0  end`,
    breaks: "false death",
  },
  {
    name: "an emptied store excuses no watcher that does not report a later crash",
    story: `
      20.0  store loses all
      40.4  p crashes
      60.0  end`,
    breaks: "late",
  },
];

describe.each([
  ["crashes", CRASHES],
  ["deaths of the living", FALSE_DEATHS],
  ["lapses", LAPSES],
  ["ends", ENDS],
  ["kills of the living", KILLS],
  ["what a watcher knows", KNOWN],
  ["the order of changes", ORDER],
  ["health", HEALTH],
  ["what is stored", STORED],
])("%s", (_, told) => {
  it.each(told.map((one) => [one.name, one] as const))("%s", (__, { story, breaks, by }) => {
    const { findings, excuses } = judge(tell(`${BEGIN}\n${story}`));
    const broken = [...new Set(findings.map(({ promise }) => promise))];
    if (breaks === undefined) expect(findings).toEqual([]);
    else expect(broken).toContain(breaks);
    if (by !== undefined) expect([...excuses.keys()]).toContain(by);
    else if (breaks === undefined) expect([...excuses.keys()]).toEqual([]);
  });
});

describe("the demonstration, whose check is shipped, expects what the judge does", () => {
  it("of a crash, a stop, and what is reported at once", () => {
    const { death, stopLeast, poll } = PERIODS;
    expect(absence(1000)).toEqual({ leastMs: 1100, mostMs: 1000 * death });
    expect(runningOut(1000)).toEqual({ leastMs: 1000 * stopLeast, mostMs: 1000 * death });
    expect(atOnce(1000).mostMs).toBe(1000 * poll);
    expect(atOnce(60_000).mostMs).toBe(POLL_MS_MAX);
  });
});

function read(path: string): string {
  return readFileSync(path, "utf8").replace(/\s+/g, " ");
}

describe("the promises and the limits are those of the documentation, word for word", () => {
  const guarantees = read("docs/guarantees.md");
  const rows = readFileSync("docs/guarantees.md", "utf8")
    .split("\n")
    .filter((line) => line.startsWith("| **"));
  const readme = read("README.md");

  it.each(Object.entries(PROMISES))("promise: %s", (_, text) => {
    expect(rows.some((row) => row.startsWith(`| ${text}`))).toBe(true);
  });
  it.each(rows.map((row) => row.split(" | ")[0]?.slice(2) ?? ""))("README says the same: %s", (text) => {
    expect(readme).toContain(text);
  });
  it.each(Object.entries(LIMITS))("limit: %s", (_, text) => expect(guarantees).toContain(text));
});
