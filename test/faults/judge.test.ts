/** The judge of the faults: what is as promised passes, and each thing that is not is found. */
import { describe, expect, it } from "vitest";
import { judge, type Wrong } from "./judge.ts";
import type { Fault, Life, Run, WorkerLine } from "./log.ts";

const PERIOD_MS = 1000;
const END = 60_000;
const KEY = "web/1";

/** A line, its time in periods. */
type Timed = readonly [at: number, line: Unstamped<WorkerLine>];
type Unstamped<Line> = Line extends WorkerLine ? Omit<Line, "t"> : never;

function at(...told: readonly Timed[]): WorkerLine[] {
  return told.toSorted(([a], [b]) => a - b).map(([periods, line]) => ({ t: periods * PERIOD_MS, ...line }));
}

/** Holds the key from the 2nd period on, in session 7, and is vouched for as long as told, in periods. */
function holder(vouched: number, more: readonly Timed[] = []): WorkerLine[] {
  const vouches = Array.from({ length: Math.max(0, Math.floor(vouched - 4)) }, (_, i): Timed => {
    const begin = 2 + i;
    return [begin, { e: "vouched", until: (begin + 2.2) * PERIOD_MS }];
  });
  return at(
    [1.8, { e: "session", session: 7 }],
    [1.9, { e: "holding", key: KEY }],
    [2, { e: "holds", key: KEY }],
    ...vouches,
    ...more,
  );
}

function tells(
  alive: boolean,
  cause: string,
  sessions: readonly number[] = alive ? [7] : [],
): Unstamped<WorkerLine> {
  return { e: "told", key: KEY, alive, cause, sessions };
}

/** Watches all from the 1st period on, and is told of the key when it is held. */
function watcher(...more: readonly Timed[]): WorkerLine[] {
  return at([1, { e: "watching", what: "" }], [2.01, tells(true, "joined")], ...more);
}

function life(name: string, lines: readonly WorkerLine[], end: Partial<Life> = {}): Life {
  return { name, life: 1, from: 0, to: Infinity, how: "lives", lines, ...end };
}

function crashed(atPeriod: number): Partial<Life> {
  return { to: atPeriod * PERIOD_MS, how: "crashed" };
}

function fault(from: number, to: number, who: Fault["who"], more: Partial<Fault> = {}): Fault {
  return { kind: "a fault", who, from: from * PERIOD_MS, to: to * PERIOD_MS, ...more };
}

function found(
  lives: readonly Life[],
  faults: readonly Fault[] = [],
  more: Partial<Run> = {},
): Wrong["kind"][] {
  const run: Run = {
    seed: 1,
    periodMs: PERIOD_MS,
    retentionSlots: 20,
    server: "none",
    faults,
    notApplied: [],
    lives,
    counts: [],
    from: 0,
    to: END,
    ...more,
  };
  return [...new Set(judge(run).wrong.map(({ kind }) => kind))];
}

const ALWAYS = END / PERIOD_MS + 10;

describe("the judge of the faults", () => {
  it("passes a run in which everything is reported correctly", () => {
    const watchers = ["w1", "w2"].map((name) => life(name, watcher([32.3, tells(false, "expired")])));
    expect(found([life("p", holder(32), crashed(30)), ...watchers])).toEqual([]);
  });

  describe("a false death", () => {
    it("is found where nothing had happened", () => {
      const lives = [
        life("p", holder(ALWAYS)),
        life("w", watcher([20.2, tells(false, "expired")], [20.3, tells(true, "joined")])),
      ];
      expect(found(lives)).toEqual(["false death"]);
    });

    it("is found before vouchedUntil, even for a process that was hit alone", () => {
      const lives = [
        life("p", holder(ALWAYS)),
        life("w", watcher([22, tells(false, "expired")], [22.1, tells(true, "joined")])),
      ];
      expect(found(lives, [fault(20, 21.9, ["p"])])).toEqual(["false death"]);
    });

    it("is found where only what hit all had hit it", () => {
      const silent = holder(21, [
        [26, { e: "vouched", until: 28_200 }],
        [22, { e: "lapse" }],
      ]);
      const lives = [
        life("p", silent),
        life("w", watcher([25.5, tells(false, "expired")], [26.5, tells(true, "joined")])),
      ];
      expect(found(lives, [fault(20, 24, "all")])).toContain("false death");
    });

    it("is found where it had been hit alone for less than is forgiven", () => {
      const silent = holder(21, [[22, { e: "lapse" }]]);
      const lives = [
        life("p", silent),
        life("w", watcher([24, tells(false, "expired")], [24.5, tells(true, "joined")])),
      ];
      expect(found(lives, [fault(22, 22.1, ["p"])])).toContain("false death");
    });

    it("is found where it never learned of it", () => {
      const silent = holder(21, [[26, { e: "vouched", until: 200_000 }]]);
      const lives = [
        life("p", silent),
        life("w", watcher([24, tells(false, "expired")], [26.1, tells(true, "joined")])),
      ];
      expect(found(lives, [fault(20, 25, ["p"])])).toEqual(["false death"]);
    });

    it("is found where it is said to be killed, and nobody has killed it", () => {
      const lives = [
        life("p", holder(ALWAYS)),
        life("w", watcher([20.2, tells(false, "killed")], [20.3, tells(true, "joined")])),
      ];
      expect(found(lives)).toEqual(["false death"]);
    });

    it("is none where it was hit alone for long enough, and had a lapse", () => {
      const silent = holder(21, [
        [22.5, { e: "lapse" }],
        [26, { e: "vouched", until: 200_000 }],
      ]);
      const lives = [
        life("p", silent),
        life("w", watcher([24, tells(false, "expired")], [26.1, tells(true, "joined")])),
      ];
      expect(found(lives, [fault(20, 25, ["p"])])).toEqual([]);
    });

    it("is none where its own event loop did not turn", () => {
      const silent = holder(21, [
        [25, { e: "late", from: 20_000 }],
        [25.01, { e: "lapse" }],
        [26, { e: "vouched", until: 200_000 }],
      ]);
      const lives = [
        life("p", silent),
        life("w", watcher([24, tells(false, "expired")], [26.1, tells(true, "joined")])),
      ];
      expect(found(lives)).toEqual([]);
    });

    it("is none where it was stopped while its start was under way", () => {
      const stopped = holder(21, [
        [1.95, { e: "ending", key: KEY, how: "stopped" }],
        [1.98, { e: "ended", key: KEY, how: "stopped" }],
      ]);
      expect(found([life("p", stopped), life("w", watcher([4.3, tells(false, "stopped")]))])).toEqual([]);
    });

    it("is none where what it held was destroyed, until it had seven periods of calm to write it again", () => {
      const flap: Timed[] = [
        [30.2, tells(false, "stopped")],
        [30.3, tells(true, "joined")],
      ];
      const lives = [life("p", holder(ALWAYS)), life("w", watcher(...flap))];
      const dropped = fault(20, 20, "all", { loses: "what is held" });
      expect(found(lives, [dropped])).toEqual(["false death"]);
      expect(found(lives, [dropped, fault(21, 28, ["p"])])).toEqual([]);
    });

    it("is none where a holder had killed it and started again while the watcher was away; once", () => {
      const restarted = holder(ALWAYS, [
        [20, { e: "ending", key: KEY, how: "killed" }],
        [20.01, { e: "ended", key: KEY, how: "killed" }],
        [22, { e: "holding", key: KEY }],
        [22.01, { e: "holds", key: KEY }],
      ]);
      const late: Timed[] = [
        [24, tells(false, "killed")],
        [24.3, tells(true, "joined")],
      ];
      const away = [fault(19, 24, ["w"])];
      expect(found([life("p", restarted), life("w", watcher(...late))], away)).toEqual([]);
      const twice: Timed[] = [...late, [25, tells(false, "killed")], [25.3, tells(true, "joined")]];
      expect(found([life("p", restarted), life("w", watcher(...twice))], away)).toEqual(["false death"]);
    });

    it("is none where another has killed the key", () => {
      const lives = [
        life("p", holder(ALWAYS)),
        life(
          "w",
          watcher(
            [19.9, { e: "kills", key: KEY }],
            [20.2, tells(false, "killed")],
            [20.3, tells(true, "joined")],
          ),
        ),
      ];
      expect(found(lives)).toEqual([]);
    });
  });

  describe("a late death", () => {
    it("is found if a crash is never reported", () => {
      expect(found([life("p", holder(32), crashed(30)), life("w", watcher())])).toEqual(["late"]);
    });

    it("is found if a crash is reported after three periods of calm", () => {
      const lives = [life("p", holder(32), crashed(30)), life("w", watcher([33.1, tells(false, "expired")]))];
      expect(found(lives)).toEqual(["late"]);
    });

    it("is none if its process crashed before the kill was written: that is reported like a crash", () => {
      const killing = holder(ALWAYS, [[30, { e: "ending", key: KEY, how: "killed" }]]);
      const told = watcher([32, tells(false, "expired")]);
      expect(found([life("p", killing, crashed(30.01)), life("w", told)])).toEqual([]);
      const never = [life("p", killing, crashed(30.01)), life("w", watcher())];
      expect(found(never)).toContain("late");
    });

    it("is found if a kill is reported after two periods", () => {
      const killed = holder(ALWAYS, [
        [30, { e: "ending", key: KEY, how: "killed" }],
        [30.01, { e: "ended", key: KEY, how: "killed" }],
      ]);
      expect(found([life("p", killed), life("w", watcher([32, tells(false, "killed")]))])).toEqual(["late"]);
    });

    it("is none where what it held had been destroyed, until it had seven periods of calm to write it again", () => {
      const killed = holder(ALWAYS, [
        [30, { e: "ending", key: KEY, how: "killed" }],
        [30.01, { e: "ended", key: KEY, how: "killed" }],
      ]);
      const lives = [life("p", killed), life("w", watcher([33, tells(false, "expired")]))];
      const dropped = fault(20, 20, "all", { loses: "what is held" });
      expect(found(lives, [dropped])).toEqual(["late"]);
      expect(found(lives, [dropped, fault(21, 28, ["p"])])).toEqual([]);
    });

    it("is found where the watcher was stale, but has been healthy for three periods", () => {
      const stale = watcher(
        [30.5, { e: "health", state: "stale", reason: "why" }],
        [31.5, { e: "health", state: "healthy" }],
        [35, tells(false, "expired")],
      );
      expect(found([life("p", holder(32), crashed(30)), life("w", stale)])).toEqual(["late"]);
    });

    it("is none where the server was away meanwhile", () => {
      const lives = [life("p", holder(32), crashed(30)), life("w", watcher([38, tells(false, "expired")]))];
      expect(found(lives, [fault(31, 35, "all")])).toEqual([]);
    });

    it("is found where the other of two holders lives, and the dead one is still listed", () => {
      const lives = [
        life("p", holder(32), crashed(30)),
        life(
          "q",
          at(
            [1, { e: "session", session: 8 }],
            [1.9, { e: "holding", key: KEY }],
            [2, { e: "holds", key: KEY }],
          ),
        ),
        life("w", watcher([2.1, tells(true, "updated", [7, 8])])),
      ];
      expect(found(lives)).toEqual(["late"]);
    });
  });

  it("finds a holder in calm that a watcher in calm does not know", () => {
    const lives = [life("p", holder(ALWAYS)), life("w", at([1, { e: "watching", what: "" }]))];
    expect(found(lives)).toEqual(["lost"]);
  });

  it("finds a key that was reported dead rightly, and is not reported alive again", () => {
    const silent = holder(21, [
      [22.5, { e: "lapse" }],
      [26, { e: "vouched", until: 200_000 }],
    ]);
    const lives = [life("p", silent), life("w", watcher([24, tells(false, "expired")]))];
    expect(found(lives, [fault(20, 25, ["p"])])).toEqual(["lost"]);
  });

  it("finds two healthy watchers that hold different things true", () => {
    const lives = [
      life("p", holder(32), crashed(30)),
      life("w1", watcher([32.3, tells(false, "expired")])),
      life("w2", watcher([32.3, tells(false, "expired")], [40, tells(true, "joined", [9])])),
    ];
    expect(found(lives)).toEqual(["disagree"]);
  });

  it("finds alive after alive, and dead after dead", () => {
    const twice = watcher([32.3, tells(false, "expired")], [33, tells(false, "expired")]);
    expect(found([life("p", holder(32), crashed(30)), life("w", twice)])).toEqual(["order"]);
    const again = watcher([10, tells(true, "joined")]);
    expect(found([life("p", holder(ALWAYS)), life("w", again)])).toEqual(["order"]);
  });

  it("finds a watcher that stays stale in calm, and not one that is stale while the server is away", () => {
    const stale: Timed = [20, { e: "health", state: "stale", reason: "why" }];
    const others = ["w1", "w2"].map((name) => life(name, watcher()));
    const lives = [life("p", holder(ALWAYS)), ...others, life("w", watcher(stale))];
    expect(found(lives)).toEqual(["unhealed"]);
    expect(found(lives, [fault(20, 58, "all")])).toEqual([]);
  });

  it("does not judge a process that was silent for some periods before its end", () => {
    const turns = Array.from({ length: 29 }, (_, i): Timed => [1 + i, { e: "turns" }]);
    const stale: Timed = [20, { e: "health", state: "stale", reason: "why" }];
    const silent = turns.filter(([t]) => t < 21);
    const others = ["w1", "w2"].map((name) => life(name, watcher()));
    const holds = life("p", holder(ALWAYS));
    expect(found([holds, ...others, life("w", watcher(stale, ...turns), crashed(30))])).toEqual(["unhealed"]);
    expect(found([holds, ...others, life("w", watcher(stale, ...silent), crashed(30))])).toEqual([]);
  });

  it("finds watchers that are all stale for most of the calm, and not for a part of it", () => {
    const stale: Timed = [20, { e: "health", state: "stale", reason: "why" }];
    const healthy: Timed = [35, { e: "health", state: "healthy" }];
    const holds = life("p", holder(ALWAYS));
    expect(found([holds, life("w1", watcher(stale)), life("w2", watcher(stale))])).toEqual(["unhealed"]);
    expect(found([holds, ...["w1", "w2"].map((name) => life(name, watcher(stale, healthy)))])).toEqual([]);
  });

  it("finds a process that ended by itself, and an error that nobody caught", () => {
    expect(found([life("w", watcher().slice(0, 1), { to: 30_000, how: "exited" })])).toEqual(["unhealed"]);
    expect(found([life("w", at([3, { e: "broken", why: "uncaught" }]))])).toEqual(["unhealed"]);
  });

  it("finds more stored than what lives and what died lately", () => {
    const lives = [life("p", holder(ALWAYS)), life("w", watcher())];
    const stored = { sessions: 2, registrations: 1, pings: 22 };
    expect(found(lives, [], { counts: [{ t: 50_000, ...stored }] })).toEqual([]);
    for (const kind of ["sessions", "registrations", "pings"] as const) {
      expect(found(lives, [], { counts: [{ t: 50_000, ...stored, [kind]: 100 }] })).toEqual(["storage"]);
    }
  });
});
