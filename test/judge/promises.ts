/**
 * What the judge holds heartbit to, and the only excuses that it accepts. Each promise and each limit is a sentence of
 * docs/guarantees.md, word for word (a test compares them), and so is each number.
 */

export const PROMISES = {
  "false death": "**No false deaths from an outage.**",
  late: "**Every crash is reported, once**",
  missed: "**Joins, updates, kills and closes do not wait for a period.**",
  order: "**For each key, alive and dead alternate**",
  lapse: "**A process knows when it may have been reported dead**",
  kill: "**A kill does not bury the living.**",
  lost: "**Acknowledged writes survive a failover**",
  disagree: "**Healthy watchers agree.**",
  unhealed: "**Watchers recover by themselves.**",
  storage: "**Storage is bounded**",
} as const;

export type Promised = keyof typeof PROMISES;

export const LIMITS = {
  "cut off alone": "rightly, after more than 0.8 periods, and after 2.5 it is",
  "short outage": "An outage too short to leave a slot empty excuses nobody",
  "first state after a short outage":
    "A watcher that starts right after an outage so short that it left no slot empty may first report a key dead",
  "first state of a stale read":
    "A watcher's first state comes from a read that may be stale: it may lack a key registered since",
  "first state after a step back":
    "A process that starts while the store's clock shows less than before a step back pings behind the others",
  "nobody pinged": "The same may happen if nobody pinged for a whole retention",
  "step while cut off":
    "If a process crashes, or alone loses the store, while the store's clock steps or before that is noticed",
  "lapse at a step":
    "Until a step of the store's clock is noticed, a process may have a `lapse` before its `vouchedUntil`.",
  "sleep that no clock shows": "If none of its clocks shows the sleep",
  "clock set ahead":
    "If the wall clock of a machine is set ahead, `vouchedUntil` is too early until the next ping",
  "step after a sleep": "A process that slept gets no `lapse` if the store's clock steps back",
  "long absence": "may find its records pruned",
  "unread kill": "If a holder can read nothing for a whole retention",
  "destroyed records":
    "Records that are destroyed by hand, or lost with a server, are written again within six periods",
  "destroyed end": "If the record of an end is destroyed before everyone has read it",
  "destroyed absence":
    "It ends early if its record is lost with a server or destroyed by hand, for some watchers earlier than for others.",
  "a number given twice":
    "A server that has lost what it had acknowledged may give the number of a session twice.",
  "lost writes": "A server may lose writes that it acknowledged",
  "lagging reads": "If something else answers in its place and lags",
  "only reads": "A watcher without the right to write has no ping of its own.",
  "a router's clock": "It may then report expiries early, by 0.4 periods at most",
  "first state by a router's clock": "If it starts then, its first state may show a living key as dead.",
  "killed before the first state": "A watcher that starts before a holder has taken up a killed key",
  "endless faults": "No expiry is reported while faults follow each other",
} as const;

export type Limit = keyof typeof LIMITS;

/** The numbers of the page, in periods. */
export const PERIODS = {
  /** A crash, or a stop, is reported within so many. */
  death: 2.5,
  /** A process that is well is vouched for at least so long. */
  leaseLeast: 1.1,
  /** Two pings are so far apart at most. */
  pingsApart: 1.3,
  /** A stop is not reported before. */
  stopLeast: 1.5,
  /** A join, an update or a kill is reported within `pollMs`, which is so many; if a feed is silent, within so many. */
  poll: 0.25,
  heardSilent: 2,
  /** A holder learns within so many that another has killed its key; if the answer to its ping was lost. */
  killNoticed: 1.5,
  killNoticedLate: 4,
  /** A process that is cut off for longer, while others are not, may be reported dead. */
  cutOff: 0.8,
  /** So may one that is cut off alone for longer than so many, and again so many later at most, however briefly. */
  cutTwice: 0.2,
  cutsApart: 2,
  /** An outage that lasts so long leaves a slot empty, wherever it begins. */
  emptySlot: 2,
  /** After an outage that left a slot empty, everyone has so many at least to come back. */
  comeBack: 1.5,
  /** It takes so long to notice that a fault is over; and one that showed only in missing answers. */
  noticed: 0.3,
  noticedQuiet: 1.2,
  stepBack: 4,
  /** A process that was away while the store's clock stepped back by more, or before it noticed, moves the slots on. */
  movesOn: 2,
  /** A process may be wrong about the store's time by so many. */
  clock: 0.1,
  /** A watcher with a router's clock reports so early at most. */
  routerAhead: 0.4,
  /** What a watcher reports was true so long ago at most. */
  readAge: 0.4,
  /** Reads that lag are so old at most. */
  lag: 0.5,
  /** Records may be pruned whose process was cut off for half of the retention, and for so many periods alone. */
  prunedAlone: 3,
  /** Everyone's records may be pruned after an outage of so many retentions. */
  allPruned: 2.5,
  /** Destroyed records are there again in so many without a fault; if some of them were left, in twice as many. */
  restored: 6,
} as const;

/** Calls are given up after two seconds at the earliest, however short the period is. */
export const NOTICED_QUIET_MS_MIN = 2500;

/** `pollMs` is at most. */
export const POLL_MS_MAX = 1000;

/** What died is stored for so many times the retention: pruning is by chance. */
export const RETENTIONS_STORED = 4;
