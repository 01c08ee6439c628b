/** The judge: each broken promise is found, each legal log passes, and each excuse names its limit. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { judge } from "./judge.ts";
import { absence, atOnce, runningOut } from "../../src/cli/demo/verdict.ts";
import { type Limit, LIMITS, PERIODS, POLL_MS_MAX, type Promised, PROMISES } from "./promises.ts";
import { tell } from "./story.ts";

/** Every story begins so: `w` watches everything; `p` holds `k`, which `w` knows. Both have been well for a while. */
const BEGIN = `
  0.0  w watches *
  1.0  p starts k
  1.1  w hears k joined p`;
/** Every story ends so, unless it has an end of its own. */
const END = `
  40.0  end`;

interface Told {
  readonly name: string;
  readonly story: string;
  /** The promise that did not hold. */
  readonly breaks?: Promised;
  /** The limit that excuses it. */
  readonly by?: Limit;
}

type Tag = (text: TemplateStringsArray, ...parts: readonly string[]) => Told;

/** The log of the story breaks no promise, and needs no excuse. */
const legal = (name: string): Tag => asTold({ name });
/** The log breaks a promise, which the judge must find. */
const broken = (breaks: Promised, name: string): Tag => asTold({ name, breaks });
/** The log breaks no promise, thanks to one documented limit. */
const excused = (by: Limit, name: string): Tag => asTold({ name, by });

function asTold(expected: Omit<Told, "story">): Tag {
  return (text, ...parts) => {
    const story = String.raw(text, ...parts);
    return { ...expected, story: BEGIN + story + (story.endsWith(" end") ? "" : END) };
  };
}

/** Each with what the judge must say of it. */
const LOGS: Readonly<Record<string, readonly Told[]>> = {
  crashes: [
    legal("a crash is reported after its vouchedUntil, within 2.5 periods")`
      20.4  p crashes
      22.5  w hears k expired`,
    broken("late", "a crash is never reported")`
      20.4  p crashes`,
    broken("late", "a crash is reported after 3 periods")`
      20.4  p crashes
      23.4  w hears k expired`,
    broken("false death", "a crash is reported before its vouchedUntil")`
      20.4  p crashes
      21.5  w hears k expired`,
    broken("order", "a crash is reported twice")`
      20.4  p crashes
      22.5  w hears k expired
      22.6  w hears k expired`,
    broken("late", "a crash is reported, and the key is reported alive again although nobody holds it")`
      20.4  p crashes
      22.5  w hears k expired
      30.0  w hears k joined p
      30.1  w hears k expired`,
    broken("late", "a crash is reported, and half a period later the key is reported alive again")`
      20.4  p crashes
      22.5  w hears k expired
      23.2  w hears k joined p
      23.3  w hears k expired`,
    broken("false death", "a crash eight periods after a step of the store's clock is reported at once")`
      20.0  clock steps 0.1
      28.0  p crashes
      28.1  w hears k expired`,
    excused("a router's clock", "a watcher whose router's clock is ahead reports a crash early")`
      10.0  w ahead 0.3 for 20
      20.4  p crashes
      22.2  w hears k expired`,
    broken("false death", "a router's clock excuses no report that is 0.6 periods early")`
      10.0  w ahead 0.6 for 20
      20.4  p crashes
      21.9  w hears k expired`,
    broken("false death", "a router's clock that was ahead ten periods ago excuses no early report")`
      8.0   w ahead 0.3 for 2
      20.4  p crashes
      22.2  w hears k expired`,
    broken("late", "a crash is reported late: another was away during a step back that moved nobody's slots")`
      10.0  q watches x
      10.0  q hears x initial
      20.0  q cut off for 3
      20.5  clock steps -0.1
      24.6  p crashes
      29.4  w hears k expired`,
    legal("a crash is reported late: another was away during two steps back, and has moved the slots on")`
      10.0  q watches x
      10.0  q hears x initial
      20.0  q cut off for 6
      20.5  clock steps -1.5
      22.5  clock steps -1.5
      27.0  p crashes
      32.4  w hears k expired`,
    broken("late", "a crash is reported late: another crashed while it was away during a step back")`
      10.0  q watches x
      10.0  q hears x initial
      20.0  q paused for 20
      20.5  clock steps -3
      21.0  q crashes
      39.9  p crashes
      46.4  w hears k expired
      60.0  end`,
    broken("late", "a crash is reported late: another was only hampered during a step back")`
      10.0  q watches x
      10.0  q hears x initial
      20.0  q hampered for 10
      20.5  clock steps -3
      29.9  p crashes
      36.4  w hears k expired
      60.0  end`,
    legal("a crash in an outage is reported after the others have come back")`
      20.4  all cut off for 5
      22.0  p crashes
      27.6  w hears k expired`,
    broken("late", "a crash in an outage is not reported for five periods after it")`
      20.4  all cut off for 5
      22.0  p crashes
      30.9  w hears k expired`,
    broken(
      "late",
      "a crash is never reported while all watchers go stale and healthy again, without a fault",
    )`
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
      24.0  v healthy`,
    excused("endless faults", "a crash is not reported while a fault comes every 1.5 periods")`
      20.4  p crashes
      ${Array.from({ length: 14 }, (_, i) => `${20 + i * 1.5}  w disturbed for 0.1`).join("\n")}`,
    broken("late", "one of two holders crashes, and is listed for ever")`
      1.0   q starts k
      1.2   w hears k updated p q
      20.4  p crashes`,
    legal("a watcher starts after a crash, and an outage comes before its 2.5 periods are over")`
      20.4  p crashes
      21.4  q watches k
      21.4  q hears k initial p
      22.8  w hears k expired
      23.2  q cut off for 4
      23.4  q watches *
      27.4  q hears k initial p
      29.5  q hears k expired`,
    broken(
      "late",
      "a watcher of long ago reports the holder of a crash to a new subscription after an outage",
    )`
      5.0   q watches k
      5.0   q hears k initial p
      20.4  p crashes
      22.8  w hears k expired
      23.2  q cut off for 4
      23.4  q watches *
      27.4  q hears k initial p
      29.5  q hears k expired`,
    legal("a crash and a restart within 2.5 periods are reported as an update")`
      20.4  p crashes
      21.4  p starts k
      21.5  w hears k updated 101 p
      22.6  w hears k updated p`,
  ],
  "deaths of the living": [
    broken("false death", "a process that nothing has hit is reported dead")`
      20.6  w hears k expired
      20.7  w hears k joined p`,
    broken("false death", "a process that survived a kill is reported dead long after")`
      10.0  w reports k
      10.1  w hears k killed
      11.3  p learns of k
      11.4  w hears k joined p
      30.0  w hears k killed
      30.1  w hears k joined p`,
    broken("false death", "one kill is reported twice")`
      10.0  w reports k
      10.1  w hears k killed
      11.3  p learns of k
      11.4  w hears k joined p
      11.5  w hears k killed
      11.6  w hears k joined p`,
    broken("false death", "a key is said to be killed, and nobody has killed it")`
      20.0  p cut off for 3
      22.5  w hears k killed
      22.6  p lapses
      23.1  w hears k joined p`,
    broken("false death", "a crash is said to be a kill, ten periods after one that was survived")`
      10.0  w reports k
      10.1  w hears k killed
      11.3  p learns of k
      11.4  w hears k joined p
      20.4  p crashes
      22.5  w hears k killed`,
    broken("false death", "a crash is said to be a stop, since the key was stopped once")`
      10.0  p stops k
      10.4  p starts k
      10.5  w hears k updated p
      20.4  p crashes
      22.5  w hears k stopped`,
    broken(
      "false death",
      "a process that pings is reported dead under a fault of all that keeps nobody from it",
    )`
      20.0  all cut off in vain for 4
      23.0  w hears k expired
      23.1  w hears k joined p`,
    excused("cut off alone", "a process stops alone under a fault of all that keeps nobody from pinging")`
      20.0  all cut off in vain for 2.1
      20.4  p paused for 3
      22.6  w hears k expired
      23.4  p lapses
      23.5  w hears k joined p`,
    broken("false death", "everyone is reported dead in an outage of all")`
      20.0  all cut off for 5
      22.5  w hears k expired
      22.6  p lapses
      25.1  w hears k joined p`,
    broken(
      "false death",
      "a process with a short fault of its own is reported dead beside a long outage of all",
    )`
      20.0  all cut off for 5
      20.0  p cut off for 5.2
      25.6  w hears k expired
      22.6  p lapses
      25.9  w hears k joined p`,
    broken("false death", "a process that was cut off alone long ago is reported dead")`
      10.0  p cut off for 1
      20.6  w hears k expired
      20.7  w hears k joined p`,
    broken("false death", "a process whose reads were doubtful, but which pinged, is reported dead")`
      20.0  p disturbed for 5
      23.5  w hears k expired
      23.7  w hears k joined p`,
    broken("false death", "a process that was cut off alone is reported dead before its lease has expired")`
      20.0  p cut off for 4
      21.3  w hears k expired
      21.6  p lapses
      24.1  w hears k joined p`,
    broken("false death", "a process that was cut off for a moment is reported dead")`
      20.2  p cut off for 0.2
      22.6  w hears k expired
      22.7  w hears k joined p`,
    excused(
      "cut off alone",
      "a process that was cut off alone is reported dead, has a lapse, and comes back",
    )`
      20.0  p cut off for 3
      21.5  p lapses
      21.6  w hears k expired
      23.1  w hears k joined p`,
    broken(
      "false death",
      "a process that was cut off alone beside an outage that left no slot empty is reported dead",
    )`
      20.3  all cut off for 0.8
      21.1  p cut off for 0.6
      22.5  p lapses
      22.6  w hears k expired
      22.7  w hears k joined p`,
    broken(
      "false death",
      "a process that was cut off twice, three slots apart, and stopped to ping is reported dead",
    )`
      20.2  p cut off for 0.25
      20.3  p silent for 3.3
      21.5  p lapses
      23.2  p cut off for 0.25
      23.6  w hears k expired
      23.7  w hears k joined p`,
    broken(
      "false death",
      "a process that was cut off five times for 0.19, and stopped to ping, is reported dead",
    )`
      20.2  p cut off for 0.19
      20.2  p silent for 3.4
      20.9  p cut off for 0.19
      21.5  p lapses
      21.6  p cut off for 0.19
      22.2  p cut off for 0.19
      22.9  p cut off for 0.19
      23.6  w hears k expired
      23.7  w hears k joined p`,
    broken(
      "false death",
      "a process that was cut off for a moment, three periods after a step, is reported dead",
    )`
      20.0  clock steps 6
      23.0  p cut off for 0.01
      23.4  w hears k expired
      23.5  w hears k joined p`,
    broken(
      "false death",
      "a process that was cut off for a moment, three periods before a step, is reported dead",
    )`
      19.9  p cut off for 0.01
      22.9  clock steps 0.01
      23.2  w hears k expired
      23.3  w hears k joined p`,
    broken(
      "false death",
      "a process that was cut off for a moment, long after a step and an outage, is reported dead",
    )`
      10.0  clock steps 0.1
      10.5  all cut off for 9
      12.5  p lapses
      22.0  p cut off for 0.01
      23.2  w hears k expired
      23.3  w hears k joined p`,
    broken("false death", "a key is reported alive by a session that nobody has")`
      20.0  w hears x joined 999`,
    broken("false death", "a process is reported dead when the store's clock steps")`
      20.0  clock steps 6
      22.6  w hears k expired
      22.7  w hears k joined p`,
    legal("a watcher that starts while the slots stand still reports a crash once they go on")`
      19.5  p crashes
      20.0  clock steps -3
      21.0  v watches *
      21.0  v hears k initial p
      26.4  w hears k expired
      27.4  v hears k expired`,
    broken(
      "late",
      "a watcher that starts when the store's clock has caught up reports a crash later than in 2.5 periods",
    )`
      20.0  clock steps -3
      26.0  v watches *
      26.0  v hears k initial p
      26.1  p crashes
      28.4  w hears k expired
      29.4  v hears k expired`,
    excused(
      "step while cut off",
      "a process that was cut off while the store's clock stepped is reported dead early",
    )`
      20.0  p cut off for 1
      20.1  clock steps 6
      20.9  w hears k expired
      21.0  p lapses
      21.1  w hears k joined p`,
    excused(
      "cut off alone",
      "a process that was cut off for a while, and then for a moment, is reported dead",
    )`
      20.0  p cut off for 0.45
      20.0  p silent for 1
      21.2  p cut off for 0.17
      21.2  p silent for 0.4
      21.5  p lapses
      21.55 w hears k expired
      22.4  w hears k joined p
      40.0  end`,
    broken("false death", "a process that was cut off alone twice, once for nothing, is reported dead")`
      19.5  p cut off for 0.04
      20.24 p cut off for 0.76
      21.5  p lapses
      21.7  w hears k expired
      21.8  w hears k joined p`,
    excused(
      "cut off alone",
      "a process that was cut off alone just before an outage of all is dead for a watcher that starts after it",
    )`
      20.0  p cut off for 1.5
      21.5  all cut off for 4
      21.6  p lapses
      25.6  v watches k
      25.7  v hears k initial
      25.8  v hears k joined p`,
    broken(
      "false death",
      "a process that was cut off alone long before an outage of all is dead for a watcher that starts after it",
    )`
      15.0  p cut off for 1.5
      21.5  all cut off for 4
      23.6  p lapses
      25.6  v watches k
      25.7  v hears k initial
      25.8  v hears k joined p`,
    excused("cut off alone", "a process whose ping a lagging read lacks is reported dead")`
      20.0  p cut off for 2.1
      21.5  p lapses
      21.9  w lag 0.5 for 2
      22.6  w hears k expired
      22.9  w hears k joined p`,
    excused("lagging reads", "a process took its session for lost, and closes: the earlier one times out")`
      20.0  p behind for 3
      21.0  p renews
      21.1  w hears k updated 101@1 p@1
      22.0  p closes
      22.1  w hears k updated 101@1
      23.4  w hears k expired
      40.0  end`,
    broken("late", "a process took its session for lost, and closes: the earlier one lives on")`
      20.0  p behind for 3
      21.0  p renews
      21.1  w hears k updated 101@1 p@1
      22.0  p closes
      22.1  w hears k updated 101@1
      26.0  w hears k expired
      40.0  end`,
    broken("late", "a process took its session for lost, and closes: the later one times out")`
      20.0  p behind for 3
      21.0  p renews
      21.1  w hears k updated 101@1 p@1
      22.0  p closes
      22.5  w hears k updated p@1
      23.4  w hears k expired
      40.0  end`,
  ],
  lapses: [
    broken("lapse", "a process that was reported dead is not told of its lapse")`
      20.0  p cut off for 3
      21.6  w hears k expired
      23.1  w hears k joined p`,
    excused("cut off alone", "a process that was paused is told of its lapse when it goes on")`
      20.0  p paused for 4
      21.6  w hears k expired
      24.0  p lapses
      24.1  w hears k joined p`,
    broken("lapse", "a process that was paused is told of its lapse two periods after it went on")`
      20.0  p paused for 4
      21.6  w hears k expired
      24.1  w hears k joined p
      26.0  p lapses`,
    excused("cut off alone", "a machine that slept learns of it with the answer to its next ping")`
      20.0  p asleep for 4
      21.6  w hears k expired
      24.3  p lapses
      24.4  w hears k joined p`,
    broken("lapse", "a machine that slept never learns of it")`
      20.0  p asleep for 4
      21.6  w hears k expired
      24.4  w hears k joined p`,
    excused(
      "sleep that no clock shows",
      "a machine whose clock was set back while it slept never learns of it",
    )`
      20.0  p set back asleep for 4
      21.6  w hears k expired
      24.4  w hears k joined p`,
    excused(
      "step after a sleep",
      "a machine that slept does not learn of it, since the store's clock stepped back",
    )`
      20.0  p asleep for 4
      21.6  w hears k expired
      24.1  clock steps -4
      24.4  w hears k joined p`,
    broken("lapse", "a process that is well is told of a lapse")`
      20.0  p lapses`,
    broken("lapse", "a process lapses because it stopped to ping, for no reason")`
      20.0  p silent for 3
      22.5  p lapses`,
    excused(
      "clock set ahead",
      "a process is well, and its clock is set ahead: its vouchedUntil passes until its next ping",
    )`
      20.3  p sets clock`,
    broken("late", "a process whose clock was set ahead five periods ago stopped to ping")`
      15.3  p sets clock
      20.0  p silent for 3`,
    broken("late", "a process is well, and its vouchedUntil passes")`
      20.0  p silent for 3`,
    excused("lapse at a step", "a process is told of a lapse since the store's clock stepped forward")`
      20.0  clock steps 6
      20.3  p lapses`,
    excused(
      "lapse at a step",
      "a process learns of the step by its next ping, 1.3 periods after the one before",
    )`
      20.3  clock steps 6
      21.6  p lapses`,
    broken("lapse", "a step of 1.6 periods ago excuses no lapse")`
      20.3  clock steps 6
      21.9  p lapses`,
  ],
  ends: [
    legal("a kill and a stop are reported in their bounds")`
      1.0   p starts j
      1.1   w hears j joined p
      20.0  p kills k
      20.1  w hears k killed
      20.2  p stops j
      22.5  w hears j stopped`,
    broken("late", "a kill is reported after three periods")`
      20.0  p kills k
      23.0  w hears k killed`,
    broken("late", "a close is reported as late as a stop")`
      20.0  p closes
      22.5  w hears k expired`,
    legal("a close while the store is away is reported like a crash")`
      20.0  all cut off for 3
      20.2  p closes
      25.5  w hears k expired`,
    legal("a close that lingers is reported as a stop")`
      20.2  p lingers
      22.5  w hears k stopped`,
    broken("false death", "a stop is reported at once")`
      20.2  p stops k
      20.3  w hears k stopped`,
    broken("false death", "a planned absence is cut short")`
      20.2  p stops k 6
      24.5  w hears k stopped`,
    broken("false death", "a stop is reported at once, eight periods after a step of the store's clock")`
      20.0  clock steps 0.1
      28.0  p stops k
      28.1  w hears k stopped`,
    broken("false death", "a planned absence is cut short, three periods after its process was hampered")`
      25.0  p hampered for 0.01
      28.0  p stops k 20
      28.1  w hears k stopped
      60.0  end`,
    legal("a planned absence lasts longer as the store's clock steps back in it")`
      20.2  p stops k 6
      23.0  clock steps -0.9
      29.4  w hears k stopped`,
    legal("a planned absence runs out")`
      20.2  p stops k 6
      28.5  w hears k stopped`,
    legal("a stop and a start within the time are not noticed, but for the later start")`
      20.2  p stops k
      21.0  p starts k
      21.1  w hears k updated p`,
    legal("a kill whose process crashes before it was written is reported like a crash")`
      20.39 p kills k
      20.395 p crashes
      22.5  w hears k expired`,
    excused("destroyed end", "the record of an end was destroyed before the watcher read it")`
      20.2  p stops k
      20.5  store loses all`,
  ],
  "kills of the living": [
    legal("a holder whose key is killed learns of it, and takes it up again")`
      10.0  w reports k
      10.1  w hears k killed
      11.3  p learns of k
      11.4  w hears k joined p`,
    broken("kill", "a holder whose key is killed never learns of it")`
      10.0  w reports k
      10.1  w hears k killed
      11.4  w hears k joined p`,
    broken("kill", "a holder whose key is killed in a long fault never learns of it")`
      5.0  all hampered for 19
      5.5  w reports k
      24.5  w hears k killed
      24.6  w hears k joined p`,
    excused("unread kill", "a holder whose key is killed can read nothing for longer than the retention")`
      5.0  all hampered for 24
      5.5  w reports k
      29.1  w hears k killed
      29.6  w hears k joined p`,
    broken("kill", "a holder learns of a kill of a key that nobody has killed")`
      20.0  p learns of k`,
    broken("lost", "a holder whose key is killed never takes it up again")`
      10.0  w reports k
      10.1  w hears k killed
      11.3  p learns of k`,
  ],
  "what a watcher knows": [
    broken("lost", "a watcher misses a start")`
      10.0  q starts j`,
    broken("lost", "a watcher learns of a start after four periods")`
      10.0  q starts j
      14.0  w hears j joined q`,
    excused(
      "a number given twice",
      "a process that was given the number of another starts a key that nobody hears of",
    )`
      9.0   q shares p
      10.0  q starts j`,
    broken(
      "lost",
      "a process that was given the number of another, and watches, starts a key that nobody hears of",
    )`
      9.0   q shares p
      9.1   q watches *
      9.2   q hears k initial p
      10.0  q starts j`,
    broken("missed", "a watcher misses an update")`
      10.0  p updates k 2`,
    legal("a watcher hears of an update")`
      10.0  p updates k 2
      10.1  w hears k updated p:2`,
    broken("lost", "a process that was reported dead rightly is not reported alive again")`
      20.0  p cut off for 3
      21.5  p lapses
      21.6  w hears k expired`,
    broken("disagree", "two watchers hold different things true of a key that nobody holds any more")`
      0.0   v watches *
      1.1   v hears k joined p
      20.4  p crashes
      22.5  w hears k expired`,
    legal("a watcher of one key is told its state first, dead or alive")`
      10.0  v watches k
      10.1  v hears k initial p
      10.0  u watches x
      10.1  u hears x initial`,
    excused(
      "first state after a short outage",
      "a watcher that starts right after a short outage first reports a key dead",
    )`
      20.2  all cut off for 1.8
      22.0  v watches k
      22.01 v hears k initial
      22.3  v hears k joined p`,
    excused(
      "first state by a router's clock",
      "a watcher whose router's clock is far ahead first reports a key dead",
    )`
      20.0  v ahead 1.5 for 20
      20.0  v watches k
      20.1  v hears k initial
      21.3  v hears k joined p`,
    excused(
      "first state after a step back",
      "a key that is started right after a step back is first reported dead to a new watcher",
    )`
      20.0  clock steps -3
      20.6  q starts j
      21.5  v watches j
      21.5  v hears j initial
      21.8  v hears j joined q
      21.8  w hears j joined q`,
    broken(
      "false death",
      "a key that was started after a step back is reported dead to a watcher of much later",
    )`
      20.0  clock steps -3
      20.6  q starts j
      21.5  w hears j joined q
      26.0  v watches j
      26.0  v hears j initial
      26.5  v hears j joined q`,
    broken("false death", "a watcher that starts in quiet times first reports a key dead")`
      20.0  v watches k
      20.1  v hears k initial
      20.3  v hears k joined p`,
    broken(
      "false death",
      "a watcher that starts after its holder alone was cut off for a moment first reports a key dead",
    )`
      20.2  p cut off for 0.01
      22.0  v watches k
      22.1  v hears k initial
      22.3  v hears k joined p`,
    broken("false death", "a watcher that is hampered first reports a key dead that was held long before")`
      20.0  v watches k
      20.0  v hampered for 1
      20.1  v hears k initial
      21.5  v hears k joined p`,
    excused(
      "first state of a stale read",
      "a watcher that is hampered first reports a key dead that was held just before",
    )`
      19.5  q starts j
      19.6  w hears j joined q
      20.0  v watches j
      20.0  v hampered for 1
      20.1  v hears j initial
      21.5  v hears j joined q`,
    broken("lost", "the first state of a watcher whose reads lag lacks a key that was held long before")`
      19.5  v lag 0.1 for 2
      20.0  v watches *`,
    broken(
      "missed",
      "the first state of a watcher whose reads lag shows a meta that was replaced long before",
    )`
      5.0   p updates k 2
      5.1   w hears k updated p:2
      19.5  v lag 0.1 for 2
      20.0  v watches *
      20.1  v hears k initial p`,
    broken(
      "false death",
      "one of two processes pinged all the time: a watcher that starts first reports its key dead",
    )`
      0.5   q watches x
      0.5   q hears x initial
      20.0  q cut off for 17
      36.5  v watches k
      36.6  v hears k initial
      36.8  v hears k joined p`,
    excused("nobody pinged", "nobody pinged for a retention: a watcher that starts first reports a key dead")`
      20.0  all cut off for 18
      22.5  p lapses
      38.1  v watches k
      38.1  v hears k initial
      38.4  v hears k joined p
      60.0  end`,
    excused(
      "long absence",
      "some know a process that was away for long by its earlier number, too, in a planned absence",
    )`
      0.0   v watches *
      1.1   v hears k joined p
      20.0  p cut off for 12
      21.6  w hears k expired
      21.6  v hears k expired
      21.6  p lapses
      32.1  w hears k joined p
      32.2  p stops k 20
      32.3  p renews
      32.4  v hears k joined p
      54.0  w hears k stopped
      54.0  v hears k stopped
      60.0  end`,
  ],
  "the order of changes": [
    broken("order", "a join is reported twice")`
      1.2   w hears k joined p`,
    broken("order", "an update is reported twice")`
      10.0  p updates k 2
      10.1  w hears k updated p:2
      10.2  w hears k updated p:2`,
    broken("order", "the death is reported before the join")`
      10.0  q starts j
      12.0  q kills j
      12.1  w hears j killed
      12.2  w hears j joined q
      12.3  w hears j killed`,
    broken("order", "an update is reported of a key that is dead")`
      20.4  p crashes
      22.5  w hears k expired
      22.6  w hears k updated p
      22.7  w hears k expired`,
    broken("order", "something is reported after unwatch")`
      10.0  w unwatches *
      11.0  q starts j
      11.1  w hears j joined q`,
  ],
  health: [
    broken("unhealed", "all watchers are stale for 25 periods without a fault")`
      0.0   v watches *
      1.1   v hears k joined p
      10.0  w stale
      10.0  v stale
      35.0  w healthy
      35.0  v healthy`,
    legal("a watcher is stale in an outage, and until 2.5 periods after it was noticed to be over")`
      20.4  all cut off for 5
      20.5  w stale
      22.5  p lapses
      28.4  w healthy`,
    broken("unhealed", "a watcher is stale for ten periods after an outage")`
      20.4  all cut off for 5
      20.5  w stale
      22.5  p lapses
      35.4  w healthy
      60.0  end`,
    legal("a process that stops watching is stale until its next ping")`
      20.3  w unwatches
      20.4  w stale
      21.3  w healthy`,
    broken("unhealed", "a process that stops watching is stale for two periods")`
      20.3  w unwatches
      20.4  w stale
      22.4  w healthy`,
    excused(
      "only reads",
      "the clock steps forward, and back at once: a watcher that only reads waits for it",
    )`
      0.1  w only reads
      20.0 clock steps 5
      20.2 w stale
      20.8 clock steps -4.5
      28.2 w healthy`,
    broken(
      "unhealed",
      "the clock steps forward, and back at once: a watcher that only reads is stale for too long",
    )`
      0.1  w only reads
      20.0 clock steps 5
      20.2 w stale
      20.8 clock steps -4.5
      30.2 w healthy`,
    broken("unhealed", "the clock steps forward, and back at once: a watcher that pings is stale for long")`
      20.0 clock steps 5
      20.2 w stale
      20.8 clock steps -4.5
      28.2 w healthy`,
    broken("unhealed", "a process ends by itself")`
      20.4  p exits
      22.5  w hears k expired`,
    broken("unhealed", "an error is not caught")`
      20.4  p breaks`,
  ],
  "what is stored": [
    legal("what is stored is what lives and what died lately")`
      39.0  stored 2 sessions 1 registrations 40 pings`,
    broken("storage", "sessions grow")`
      39.0  stored 3 sessions 1 registrations 40 pings`,
    broken("storage", "a session is stored five retentions after its end")`
      2.0   q starts j
      2.1   w hears j joined q
      3.0   q closes
      3.1   w hears j killed
      110.0 stored 3 sessions 1 registrations 80 pings
      111.0 end`,
    legal("what died stays stored while nobody runs who may delete it")`
      2.0   w only reads
      3.0   p crashes
      5.2   w hears k expired
      110.0 stored 2 sessions 1 registrations 80 pings
      111.0 end`,
    broken("storage", "registrations grow, although the store lost everything three times")`
      10.0  store loses all
      20.0  store loses all
      30.0  store loses all
      59.0  stored 2 sessions 8 registrations 40 pings
      60.0  end`,
    broken("storage", "pings grow")`
      39.0  stored 2 sessions 1 registrations 90 pings`,
    excused("destroyed records", "an emptied store: what is held is there again in time")`
      20.0  store loses all
      22.6  w hears k expired
      25.3  w hears k joined p
      60.0  end`,
    excused("destroyed absence", "an emptied store: a planned absence lasts for those who have read it")`
      10.0  p stops k 20
      12.0  store loses all
      12.1  v watches *
      32.0  w hears k stopped
      60.0  end`,
    broken("disagree", "an emptied store: one of two knows a planned absence long after its end")`
      10.0  p stops k 4
      12.0  store loses all
      12.1  v watches *
      60.0  end`,
    broken("lost", "an emptied store: what is held never comes back")`
      20.0  store loses all
      22.6  w hears k expired
      60.0  end`,
    broken("false death", "an emptied store excuses no death ten periods later")`
      20.0  store loses all
      30.6  w hears k expired
      30.7  w hears k joined p
      60.0  end`,
    broken("late", "an emptied store excuses no watcher that does not report a later crash")`
      20.0  store loses all
      40.4  p crashes
      60.0  end`,
  ],
};

describe.each(Object.entries(LOGS))("%s", (_, told) => {
  it.each(told.map((one) => [one.name, one] as const))("%s", (__, { story, breaks, by }) => {
    const { findings, excuses } = judge(tell(story));
    if (breaks === undefined) expect(findings).toEqual([]);
    else expect(findings.map(({ promise }) => promise)).toContain(breaks);
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
