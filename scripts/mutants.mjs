// Breaks the library in many ways, one at a time, and names the test that finds each: `npm run mutants`. Each is a small
// change of a copy of the sources. `npm run mutants -- lease mail` does those whose names have one of these words. The
// exit status is 1 if one is not found, or if its code is not there any more. The tests must pass without a mutant.
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const LIMIT_MS = 300_000;
const RUNS = 200;

const CORE = "test/core";
const INSERTING = "test/stores/mongo-inserting.test.ts";
const SCENARIOS = "test/scenarios.test.ts";
const SIMULATOR = "test/simulator.test.ts"; // with the plans that failed once
const presence = (...names) => names.map((name) => `test/presence/${name}.test.ts`);

/**
 * `by`: the test files that must find it, or the kinds of events with which the simulator must.
 * @type {readonly { what: string, file: string, search: string, replace: string, by: readonly string[] | { kinds: string } }[]}
 */
const MUTANTS = [
  // the rule
  {
    what: "the rule: a process dies a slot early",
    file: "core/alive.ts",
    search: "last !== KILLED && last >= g",
    replace: "last !== KILLED && last > g",
    by: [CORE],
  },
  {
    what: "the rule: evaluated at the start of a slot, not at its half",
    file: "core/alive.ts",
    search: "Math.floor(position - 0.5)",
    replace: "Math.floor(position)",
    by: [CORE],
  },
  {
    what: "the rule: slots beside an empty one count",
    file: "core/alive.ts",
    search: "if (nonEmptyInRow === 3) return slot + 1;",
    replace: "if (nonEmptyInRow === 2) return slot;",
    by: [CORE],
  },
  {
    what: "the rule: empty slots count",
    file: "core/alive.ts",
    search: "let nonEmptyInRow = 1; // `j` counts as not empty",
    replace: "let nonEmptyInRow = 1;\n  if (j > oldest) return j - 1;",
    by: { kinds: "comer,outage" },
  },
  {
    what: "the rule: a killed registration lives on by its pings",
    file: "core/alive.ts",
    search: "if (registration.last !== undefined) return registration.last;",
    replace: "",
    by: [CORE],
  },
  {
    what: "suspicion: deaths are reported in spite of it",
    file: "core/alive.ts",
    search: "return suspicion < j - 1;",
    replace: "return suspicion < Infinity;",
    by: { kinds: "outage,cut,stale" },
  },
  {
    what: "suspicion: over one slot early",
    file: "core/alive.ts",
    search: "return suspicion < j - 1;",
    replace: "return suspicion < j;",
    by: [CORE],
  },
  {
    what: "suspicion: a failed read or ping is none",
    file: "presence/context/context.ts",
    search: "context.health.suspect(`${doing} failed: ${describe(error)}`);",
    replace: "",
    by: [SCENARIOS],
  },
  {
    what: "suspicion: a slow read is none",
    file: "presence/context/context.ts",
    search: "if (tookMs > suspiciousMs(periodMs)) health",
    replace: "if (tookMs > periodMs * 1e9) health",
    by: presence("watcher"),
  },
  {
    what: "suspicion: a late timer is none",
    file: "presence/context/context.ts",
    search: "if (lateMs > suspiciousMs(periodMs)) health",
    replace: "if (lateMs > periodMs * 1e9) health",
    by: [SCENARIOS],
  },
  {
    what: "suspicion: a lost feed is none",
    file: "presence/watching/change-feed.ts",
    search: "health.suspect(`the change feed was lost: ${describe(error)}`);",
    replace: "",
    by: [SCENARIOS],
  },
  {
    what: "suspicion: a step of the store's clock is none",
    file: "presence/context/context.ts",
    search: "health.suspect(`the store's clock stepped by ${Math.round(byMs)} ms`);",
    replace: "",
    by: [SCENARIOS],
  },
  {
    what: "a read that lacks our own ping is trusted",
    file: "core/freshness.ts",
    search: "if (!lacksOwn(records, from, own)) return undefined;",
    replace: "if (own.slot <= Infinity) return undefined;",
    by: { kinds: "stale" },
  },
  {
    what: "a death is not confirmed by a ping and a second read",
    file: "presence/watching/evaluator.ts",
    search: "if (!(await this.#confirm(slot))) return;",
    replace: "break;",
    by: presence("watcher"),
  },
  {
    what: "a death is confirmed by a ping alone, without a second read of the changes",
    file: "presence/watching/evaluator.ts",
    search: "    const goesOn = await this.#readPings(slot - 1, slot);\n    await this.#snapshot.poll();\n",
    replace: "    const goesOn = await this.#readPings(slot - 1, slot);\n",
    by: [SCENARIOS, ...presence("watcher", "sleep")],
  },
  // the lease
  {
    what: "the lease: longer than the rule",
    file: "core/alive.ts",
    search: "export const PERIODS_TO_DEATH = 2.5;",
    replace: "export const PERIODS_TO_DEATH = 3.5;",
    by: { kinds: "link,pause,crash" },
  },
  {
    what: "the lease: counted from the answer, not from sending",
    file: "core/lease.ts",
    search: "let until = sent + leftMs;",
    replace: "let until = this.#clock.monotonic() + leftMs;",
    by: { kinds: "majority,crash" },
  },
  {
    what: "the lease: kept by the monotonic clock alone, which stands still in a sleep",
    file: "core/lease.ts",
    search: "return Math.min(untilWall, this.#clock.now() + until - this.#clock.monotonic());",
    replace: "return this.#clock.now() + until - this.#clock.monotonic();",
    by: presence("sleep"),
  },
  {
    what: "the lapse: not found by the stamp of an answer",
    file: "core/lease.ts",
    search: "if (stamped < deathPosition(latest.slot) && now < latest.until)",
    replace: "if (now < latest.until)",
    by: presence("sleep"),
  },
  {
    what: "the lapse: its program does not learn of it",
    file: "presence/holding/heartbeat.ts",
    search: 'events.emit("lapse", lapse);',
    replace: "void events;",
    by: [SCENARIOS],
  },
  {
    what: "the lapse: the session's record is not touched after it",
    file: "presence/holding/reconciler.ts",
    search: "    await this.#session.touch();\n    await this.#compareAll(session);",
    replace: "    await this.#compareAll(session);",
    by: [SCENARIOS],
  },
  {
    what: "the lapse: nothing is written again after a long one",
    file: "presence/holding/reconciler.ts",
    search: "lease.lapsedSlots > this.#context.retentionSlots / 2",
    replace: "Number(lease.lapsedSlots) < 0",
    by: presence("prune", "lost-records", "presence"),
  },
  {
    what: "the heartbeat: an unanswered ping is not sent once more",
    file: "core/schedule.ts",
    search: "if (++this.#sent.count === 1) this.pingIn(this.#periodMs * REPEAT_OF_PERIOD);",
    replace: "if (++this.#sent.count === 0) this.pingIn(this.#periodMs * REPEAT_OF_PERIOD);",
    by: presence("slow-store"),
  },
  {
    what: "the heartbeat: pings spread over the whole slot",
    file: "core/schedule.ts",
    search: "const LATEST = 0.4;",
    replace: "const LATEST = 0.95;",
    by: { kinds: "pause,link,crash,store" },
  },
  // the store's time
  {
    what: "the store's time: a step of its clock is taken for drift",
    file: "core/store-time.ts",
    search: "const isStep = least > most;",
    replace: "const isStep = false;",
    by: presence("time"),
  },
  {
    what: "the store's time: a sleep of the machine does not show",
    file: "core/store-time.ts",
    search: "return this.sleptMs > WALL_STEP_MS;",
    replace: "return false;",
    by: presence("sleep"),
  },
  {
    what: "the store's time: pings of slots to come are not followed",
    file: "presence/context/pings.ts",
    search: "if (latest <= time.slot + SLOTS_AHEAD_MAX) return false;",
    replace: "if (latest <= Infinity) return false;",
    by: presence("time", "presence"),
  },
  {
    what: "the store's time: the slots are not moved on after a step back",
    file: "presence/context/config.ts",
    search: "if (behind <= SLOTS_BEHIND_MAX && !this.#isRaising) return;",
    replace: "if (behind <= Infinity) return;",
    by: [SCENARIOS],
  },
  {
    what: "the store's time: a raised offset is not announced by mail",
    file: "presence/context/config.ts",
    search: "if (!this.#hasRaised) return;",
    replace: "if (this.#raisedBy >= 0) return;",
    by: ["test/simulator.test.ts"],
  },
  // holding
  {
    what: "the lapse: not found while the keys move to another session",
    file: "core/lease.ts",
    search: "return this.#isLapsed ? Infinity",
    replace: "return this.#isLapsed || this.#moves > 0 ? Infinity",
    by: presence("lost-records"),
  },
  {
    what: "pruning: pings that were held up in an outage count as those of the living",
    file: "core/pruning.ts",
    search: "< APART * periodMs) continue;",
    replace: "< 0) continue;",
    by: [CORE],
  },
  {
    what: "the evidence: an earlier ping of the same slot shows a fresh read",
    file: "core/freshness.ts",
    search: "record.revision >= revision",
    replace: "record.revision >= 0",
    by: [SIMULATOR],
  },
  {
    what: "comparing: another key under our number is taken for ours",
    file: "core/reconcile.ts",
    search: "if (own.key !== record.key) {",
    replace: "if (own.key === undefined) {",
    by: [CORE],
  },
  {
    what: "mail: planned by a stale read",
    file: "presence/context/config.ts",
    search: "&& lacksOwn(pings, from, own)) throw",
    replace: "&& false) throw",
    by: presence("time"),
  },
  {
    what: "the offset: followed with a time from before another step",
    file: "presence/context/config.ts",
    search: "if (offset > to) await",
    replace: "if (offset < 0) await",
    by: [SIMULATOR],
  },
  {
    what: "writing: without a ping after a sleep, and so after a drop",
    file: "presence/holding/write-queue.ts",
    search: "!(await heartbeat.confirm())",
    replace: "(await heartbeat.confirm(), false)",
    by: presence("drop"),
  },
  {
    what: "mail: ignored",
    file: "presence/holding/heartbeat.ts",
    search: 'if (hasMail) requests.add("mail");',
    replace: "",
    by: [SCENARIOS],
  },
  {
    what: "the reconciler: a kill by another is not noticed",
    file: "core/reconcile.ts",
    search: "      difference.killed.push(own);\n",
    replace: "",
    by: [SCENARIOS],
  },
  {
    what: "the reconciler: missing records are not registered again",
    file: "presence/holding/reconciler.ts",
    search: "this.#registrations.apply(compare());",
    replace: "this.#registrations.apply({ ...compare(), missing: [] });",
    by: presence("lost-records"),
  },
  {
    what: "the reconciler: a missing record keeps its start",
    file: "presence/holding/registrations.ts",
    search: "      registration.start++;\n",
    replace: "",
    by: presence("lost-records"),
  },
  {
    what: "the reconciler: an older meta is not written again",
    file: "core/reconcile.ts",
    search: "        difference.outdated.push(own);",
    replace: "        continue;",
    by: [CORE],
  },
  {
    what: "the reconciler: an end that is missing is not written again",
    file: "core/reconcile.ts",
    search: "if (end !== undefined) difference.ends.push(end);",
    replace: "if (end !== undefined) continue;",
    by: presence("lost-records", "pinger", "presence"),
  },
  {
    what: "the reconciler: a wrong count of open records is taken for right",
    file: "presence/holding/reconciler.ts",
    search: "if (open.opened === opened && open.count >= least && open.count <= most) {",
    replace: "if (open.count >= 0 || (opened ?? most) === least) {",
    by: presence("lost-records"),
  },
  {
    what: "the session: a number that another has is used",
    file: "presence/holding/session.ts",
    search: "if (isSameSession(stored, record)) return",
    replace: "if (record.seq > 0) return",
    by: presence("presence", "lost-records"),
  },
  {
    what: "the session: its record is not touched in half of the retention",
    file: "presence/holding/reconciler.ts",
    search: "return time.slot - touched > retentionSlots / 2;",
    replace: "return time.slot - touched > Infinity;",
    by: presence("prune", "presence", "lost-records"),
  },
  {
    what: "the write queue: a batch that is not acknowledged in time does not shrink",
    file: "core/batch-size.ts",
    search: "const SHRINK = 4;",
    replace: "const SHRINK = 1;",
    by: presence("write-queue"),
  },
  {
    what: "the write queue: starts go before ends",
    file: "core/backlog.ts",
    search: 'for (const unwritten of ["end", "start", "meta"] as const) {',
    replace: 'for (const unwritten of ["meta", "start", "end"] as const) {',
    by: presence("write-queue"),
  },
  {
    what: "the write queue: a batch that failed is forgotten",
    file: "core/backlog.ts",
    search: "this.add(registration, unwritten);",
    replace: "",
    by: presence("write-queue"),
  },
  {
    what: "the write queue: the batch after a pause is as large as the one before it",
    file: "core/batch-size.ts",
    search: "if (now - this.#ended > this.#limitMs) this.#most = Math.min(this.#most, BATCH_FIRST);",
    replace: "",
    by: presence("slow-store"),
  },
  // watching
  {
    what: "the feed: trusted although it is late",
    file: "presence/watching/change-feed.ts",
    search: "return !this.#isLate && this.#reaches(selected);",
    replace: "return this.#reaches(selected);",
    by: presence("feed"),
  },
  {
    what: "the feed: trusted although it is silent",
    file: "presence/watching/evaluator.ts",
    search: "const POLL_SLOTS = 2;",
    replace: "const POLL_SLOTS = Infinity;",
    by: [SCENARIOS],
  },
  {
    what: "the feed: a lost one is not opened again",
    file: "presence/watching/change-feed.ts",
    search: "requests.sleeper.wake(); // changes are polled from now on\n    this.#start();",
    replace: "requests.sleeper.wake();",
    by: presence("feed"),
  },
  {
    what: "the snapshot: the cursor advances though our pings are not acknowledged",
    file: "presence/watching/snapshot.ts",
    search: "if (isCurrent) this.plan.advance(cursor, slot);",
    replace: "this.plan.advance(cursor, slot);",
    by: presence("watcher", "lag"),
  },
  {
    what: "the snapshot: what a whole read lacks stays",
    file: "presence/watching/snapshot.ts",
    search: "yield* this.#notifier.roster.endLoadInSteps(load, (key) => includesKey(selected, key), asOf);",
    replace:
      "yield* this.#notifier.roster.endLoadInSteps(load, (key) => key === selected.keys && load < 0, asOf);",
    by: presence("watcher"),
  },
  {
    what: "the records: of two ends the later one holds",
    file: "core/records.ts",
    search: "return Math.min(a, b);",
    replace: "return Math.max(a, b);",
    by: [CORE],
  },
  {
    what: "the records: of two metas the older one holds",
    file: "core/records.ts",
    search: "const newer = b.revision > a.revision ? b : a;",
    replace: "const newer = b.revision < a.revision ? b : a;",
    by: [CORE],
  },
  {
    what: "delivery: a change does not collapse with the one before it",
    file: "core/subscriptions.ts",
    search: "const pending = earlier === undefined ? later : { ...later, known: earlier.known };",
    replace: "const pending = later;",
    by: [SCENARIOS, ...presence("watcher")],
  },
  {
    what: "delivery: goes on after unwatch",
    file: "core/subscriptions.ts",
    search: "    this.#cancelled = true;\n    this.#pending.clear();\n",
    replace: "",
    by: presence("watcher"),
  },
  {
    what: "delivery: a listener that throws ends the others",
    file: "lib/call-safely.ts",
    search: "catch (error) {",
    replace: "catch (error) {\n    throw error;",
    by: presence("events", "watcher", "pinger"),
  },
  // the ends
  {
    what: "close: the keys time out instead of ending",
    file: "presence/presence.ts",
    search: 'this.#close(linger === true ? "stopped" : "killed")',
    replace: 'this.#close(linger === true ? "killed" : "stopped")',
    by: [SCENARIOS],
  },
  // pruning
  {
    what: "pruning: never",
    file: "presence/slot-loop.ts",
    search: "() => (time.slot >= this.#pruneAt ? 0 : Infinity),",
    replace: "() => Infinity,",
    by: presence("prune"),
  },
  {
    what: "pruning: what lives is pruned right after an outage",
    file: "core/pruning.ts",
    search: "const RETURN_SLOTS = 4;",
    replace: "const RETURN_SLOTS = 1;",
    by: presence("prune"),
  },
  {
    what: "pruning: each presence prunes, though others did",
    file: "core/pruning.ts",
    search: "const ROUNDS = 8;",
    replace: "const ROUNDS = 1e9;",
    by: presence("prune"),
  },
  // the memory store, which the simulator and the contract use
  {
    what: "the store: a ping adds its bit instead of setting it",
    file: "stores/memory.ts",
    search: "words[word] = (words[word] ?? 0) | mask;",
    replace: "words[word] = (words[word] ?? 0) + mask;",
    by: ["test/stores/memory.test.ts"],
  },
  {
    what: "the store: each session number is given twice",
    file: "stores/memory.ts",
    search: "return ++this.#data().seq;",
    replace: "return Math.ceil(++this.#data().seq / 2);",
    by: ["test/stores/memory.test.ts"],
  },
  {
    what: "the store: a kill leaves planned absences",
    file: "stores/memory.ts",
    search: "if (record.key === key && record.last !== KILLED) killed",
    replace: "if (record.key === key && record.last === undefined) killed",
    by: ["test/stores/memory.test.ts", ...presence("pinger")],
  },
  {
    what: "idle health: a presence that neither holds nor watches stays stale",
    file: "presence/slot-loop.ts",
    search: "if (this.#isIdleAndStale) return 0;",
    replace: "",
    by: presence("presence"),
  },
  {
    what: "the lease: pings of a new session extend it before its keys are registered",
    file: "core/lease.ts",
    search: "if (this.#moves > 0) return { counts: true, endsLapse: false };",
    replace: "",
    by: presence("lost-records"),
  },
  {
    what: "declarations: released keys are never forgotten",
    file: "presence/holding/reconciler.ts",
    search: "declared.forgetBefore(oldestRetained(this.#context));",
    replace: "oldestRetained(this.#context);",
    by: presence("presence"),
  },
  {
    what: "mail: not in the slots in which a process that noticed no step of the clock pings",
    file: "core/mail.ts",
    search: "slots.add(Math.min(current, record.slot + current - Math.floor(time.positionOf(record.ms))));",
    replace: "",
    by: [CORE],
  },
  {
    what: "the comparison in steps: passes over an older meta",
    file: "core/reconcile.ts",
    search: "!== undefined || record.revision < own.revision;",
    replace: "!== undefined;",
    by: [CORE],
  },
  {
    what: "missing records: registered again after a read that is not fresh",
    file: "presence/holding/reconciler.ts",
    search: "if (compare().missing.length > 0) await this.#checkFresh(session);",
    replace: "",
    by: presence("lost-records"),
  },
  {
    what: "suspicions: none of a question for the time that took long",
    file: "presence/watching/evaluator.ts",
    search: "periodMs / 2)\n      await timed(this.#context, sampleTime(this.#context));",
    replace: "periodMs / 2)\n      await sampleTime(this.#context);",
    by: presence("watcher"),
  },
  {
    what: "sleep: a death is not confirmed again after one",
    file: "presence/watching/evaluator.ts",
    search: "if (!time.mayHaveSlept) break;",
    replace: "break;",
    by: presence("sleep"),
  },
  {
    what: "loads: without the pings of the holders",
    file: "presence/watching/snapshot.ts",
    search: "await this.#notifier.addPings(pings);",
    replace: "",
    by: presence("watcher"),
  },
  {
    what: "patience: none for a majority that lags",
    file: "core/patience.ts",
    search: "return now - sent < limitMs ?",
    replace: "return sent < 0 ?",
    by: presence("slow-store"),
  },
  {
    what: "questions: asked once, however long the answer takes",
    file: "core/limits.ts",
    search: "HEDGE_TIMES = 4",
    replace: "HEDGE_TIMES = 1",
    by: presence("time"),
  },
  {
    what: "pings: a refused one is sent again a whole period later",
    file: "core/limits.ts",
    search: "if (refusals > REFUSALS_OF_LEASE) return periodMs;",
    replace: "if (refusals > 0) return periodMs;",
    by: [SIMULATOR],
  },
  {
    what: "closing: its own end is taken for one by another",
    file: "presence/holding/registrations.ts",
    search: "if (this.#session.isEnding) return;\n    this.#session.abandon",
    replace: "this.#session.abandon",
    by: [SIMULATOR],
  },
  {
    what: "evaluation: late pings count only for those who are known to be alive",
    file: "presence/watching/evaluator.ts",
    search: "isQuiet && !this.#roster.isAnyoneSilent",
    replace: "isQuiet",
    by: [SIMULATOR],
  },
  // many new keys together
  {
    what: "inserted keys: a stamp stays as it is, however late its document is visible",
    file: "stores/mongo/inserting.ts",
    search: "some.tookMs + behindMs(some) > lagMs(context)",
    replace: "behindMs(some) > lagMs(context)",
    by: [INSERTING],
  },
  {
    what: "inserted keys: a stamp stays as it is when the store's clock steps",
    file: "stores/mongo/inserting.ts",
    search: "Math.max(0, ms - stampMs - (now - sentAt))",
    replace: "ms === Infinity ? ms : 0",
    by: [INSERTING],
  },
  {
    what: "inserted keys: those that are stored already are left as they are",
    file: "stores/mongo/inserting.ts",
    search: "stored.flatMap(putRegistration)",
    replace: "stored.slice(1_000_000).flatMap(putRegistration)",
    by: ["test/stores/mongo.test.ts"],
  },
  {
    what: "inserted keys: what was sent before is called new",
    file: "core/registration.ts",
    search: "[this.#sentBy, this.#sentStart] = [session, start];",
    replace: "",
    by: presence("write-queue"),
  },
];

const words = process.argv.slice(2);
const chosen = MUTANTS.filter(({ what }) => words.length === 0 || words.some((word) => what.includes(word)));
const copy = mkdtempSync(join(tmpdir(), "heartbit-mutants-"));
process.on("exit", () => rmSync(copy, { recursive: true, force: true }));
for (const name of ["src", "test", "tsconfig.json", "package.json"]) {
  cpSync(join(root, name), join(copy, name), { recursive: true });
}
symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
const config = { include: ["test/**/*.test.ts"], setupFiles: [], maxWorkers: 2, testTimeout: LIMIT_MS };
const configure = (name, more) =>
  writeFileSync(join(copy, name), `export default { test: ${JSON.stringify({ ...config, ...more })} };\n`);
configure("vitest.mutants.config.mjs", {});
configure("vitest.mongo.config.mjs", { globalSetup: ["test/servers/setup.ts"] });

const began = Date.now();
let missed = 0;
for (const { what, file, search, replace, by } of chosen) {
  const path = join(copy, "src", file);
  const source = readFileSync(path, "utf8");
  const count = source.split(search).length - 1;
  if (count !== 1) {
    console.log(`GONE       ${what}: src/${file} has its code ${count} times`);
    missed++;
    continue;
  }
  writeFileSync(
    path,
    source.replace(search, () => replace),
  );
  const found = Array.isArray(by) ? findBy(by) : findBySimulator(by.kinds);
  writeFileSync(path, source);
  if (found === undefined) missed++;
  const named = Array.isArray(by) ? by.join(", ") : `the simulator with ${by.kinds}`;
  console.log(found === undefined ? `NOT FOUND  ${what}: by ${named}` : `found      ${what}: ${found}`);
}
const seconds = Math.round((Date.now() - began) / 1000);
console.log(`${chosen.length} mutants in ${seconds} s: ${chosen.length - missed} found, ${missed} not`);
if (missed > 0) process.exitCode = 1;

/** The first test of these files that fails. Undefined if none does, or they cannot run. */
function findBy(files) {
  if (files.length === 0) return undefined;
  const report = join(copy, "report.json");
  writeFileSync(report, "");
  const { status, error } = run(join(root, "node_modules/vitest/vitest.mjs"), [
    "run",
    ...files,
    `--config=vitest.${files.some((file) => file.includes("/mongo")) ? "mongo" : "mutants"}.config.mjs`,
    "--bail=1",
    "--reporter=json",
    `--outputFile=${report}`,
  ]);
  if (status === 0) return undefined;
  if (error !== undefined) return undefined; // it may be this machine that is too slow
  const text = readFileSync(report, "utf8");
  if (text === "") return undefined;
  for (const { name, assertionResults } of JSON.parse(text).testResults) {
    const failed = assertionResults.find((result) => result.status === "failed");
    const at = name.slice(copy.length + 1);
    if (failed !== undefined) return `${at}: ${failed.fullName}`;
  }
  return undefined;
}

/** The first seed that fails, and why. */
function findBySimulator(kinds) {
  const out = join(copy, "compiled");
  const options = [
    "--noCheck",
    "--noEmit",
    "false",
    "--outDir",
    out,
    "--rootDir",
    copy,
    "-p",
    "test/simulator",
  ];
  const compiled = run(join(root, "node_modules/typescript/bin/tsc"), options);
  if (compiled.status !== 0) throw new Error(compiled.stdout);
  writeFileSync(join(out, "package.json"), '{ "type": "module" }\n');
  const main = join(out, "test/simulator/main.js");
  const { stdout } = run(main, ["--seed=1", `--runs=${RUNS}`, `--kinds=${kinds}`, "--stop"]);
  const { 1: seed, 2: why } = /^seed (\d+) fails: (.*)$/m.exec(stdout) ?? [];
  return seed === undefined
    ? undefined
    : `npm run simulate -- --seed ${seed} --kinds ${kinds}: ${why.slice(0, 100)}`;
}

function run(script, args) {
  const options = { cwd: copy, encoding: "utf8", timeout: LIMIT_MS, env: { ...process.env, CI: "1" } };
  return spawnSync(process.execPath, [script, ...args], options);
}
