/**
 * One process among several that share a SQLite directory. Its arguments: where the built library is, the directory,
 * and what to do. It tells its parent what has been acknowledged, and stops when it is told anything.
 */
const [built, directory, task] = process.argv.slice(2);
const { openSqlite } = await import(`${built}/stores/sqlite/index.js`);
const store = await openSqlite(directory);
const ns = store.namespace("shared", { periodMs: 1000, retentionSlots: 120 });
const stop = new AbortController();
const told = new Promise((resolve) => process.once("message", resolve)).then(() => stop.abort());
const tell = (message) => process.send(message);
const tasks = { write, once, fill, hold };

await tasks[task]();
await store.close();
process.disconnect?.(); // and nothing else keeps this process alive

/** The answer of a call, asked again while the file is too busy. */
async function answered(call) {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (error.code !== "STORE_UNAVAILABLE") throw error;
    }
  }
}

/** Starts and ends registrations as fast as it can; tells each once it has been acknowledged. */
async function write() {
  const seq = await answered(() => ns.nextSeq());
  tell({ seq });
  const session = { seq, host: "h", pid: process.pid, opened: 1, slot: 10 };
  await answered(() => ns.write([{ kind: "session", session }]));
  for (let pinger = 1; !stop.signal.aborted; pinger++) {
    const id = { session: seq, pinger, start: 1 };
    const key = `key-${seq % 7}-${pinger}`;
    // Metas of many sizes make the file grow, and put records on pages of their own.
    const meta = JSON.stringify("m".repeat((pinger * 37) % 5000));
    const registration = { ...id, key, since: 1, slot: 10, meta, revision: 0 };
    await answered(() => ns.write([{ kind: "registration", registration }]));
    await answered(() => ns.ping(10 + pinger, seq));
    const end = { kind: "end", registration: id, last: 10 + pinger };
    if (pinger % 2 === 0) await answered(() => ns.write([end]));
    tell({ seq, pinger, key, length: meta.length, ended: pinger % 2 === 0 });
  }
}

/** Takes a number, and pings with it. */
async function once() {
  const seq = await answered(() => ns.nextSeq());
  await answered(() => ns.ping(1, seq));
  tell({ seq });
}

/** Writes where there is no space for all of it; tells what each kind of write is refused with. */
async function fill() {
  const seq = await ns.nextSeq();
  const meta = JSON.stringify("m".repeat(10_000));
  const refusals = new Set();
  const session = { seq, host: "h", pid: process.pid, opened: 1, slot: 10 };
  await ns.write([{ kind: "session", session }]);
  const note = ({ code, message }) => refusals.add(`${code}: ${message}`);
  for (let pinger = 1; pinger <= 300; pinger++) {
    const registration = {
      session: seq,
      pinger,
      start: 1,
      key: `k${pinger}`,
      since: 1,
      slot: 10,
      meta,
      revision: 0,
    };
    await Promise.all([
      ns.write([{ kind: "registration", registration }]).catch(note),
      ns.ping(10 + pinger, seq).catch(note),
    ]);
  }
  tell({ seq, refusals: [...refusals] });
}

/** Takes the lock for writing, and keeps it until it is told to go on. */
async function hold() {
  const { loadDriver } = await import(`${built}/stores/sqlite/driver.js`);
  const connection = loadDriver()(store.path);
  connection.exec("BEGIN IMMEDIATE");
  tell({ holds: true });
  await told;
  connection.exec("ROLLBACK");
  connection.close();
}
