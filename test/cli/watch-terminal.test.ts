import { describe, expect, it } from "vitest";
import { Table } from "../../src/cli/table.ts";
import type { Change } from "../../src/index.ts";
import { holding, main, newStore } from "./heartbit.ts";
import { CTRL_BACKSLASH, CTRL_C, CTRL_Z, inTerminal } from "./terminal.ts";

const plain = (_: unknown, text: string): string => text;

function change(key: string, alive: boolean, atMs: number, more: Partial<Change> = {}): Change {
  const holder = { session: 1, host: "h", pid: 7, since: new Date(atMs), meta: null };
  const holders = alive ? [holder] : [];
  return { key, alive, at: new Date(atMs), cause: alive ? "joined" : "killed", holders, ...more };
}

const holders = (many: number, meta: unknown): Change["holders"] =>
  Array.from({ length: many }, (_, session) => ({ session, host: "h", pid: 7, since: new Date(0), meta }));

describe("the table", () => {
  const ROOM = { columns: 60, rows: 10 };
  const PLACE = { title: "presence", store: "MongoDB at db/app" };

  it("shows the living and the lately dead by key, with how long they have been so, and why it is stale", () => {
    const table = new Table(PLACE);
    table.take(change("b", true, 1000));
    table.take(change("a", true, 2000));
    table.take(change("b", false, 5000));
    table.take(change("a", true, 6000, { cause: "updated" })); // which is no birth
    expect(table.lines(ROOM, 8000, plain)).toEqual([
      "presence  1 key alive, 1 died recently",
      "MongoDB at db/app",
      "KEY  STATE  FOR  CAUSE    HOLDERS",
      "a    alive  6 s  updated  h:7",
      "b    dead   3 s  killed",
    ]);
    table.setHealth({ state: "stale", reason: "ping failed" });
    const [later] = table.lines(ROOM, 66_000, plain);
    expect(later).toBe("presence  1 key alive, 0 died recently  STALE: ping failed");
    table.isThere = false;
    expect(table.lines(ROOM, 66_000, plain)[1]).toBe("MongoDB at db/app: nobody has used the namespace yet");
  });

  it("shows what has changed last where there is no room for all, in no more lines and columns than there are", () => {
    const table = new Table(PLACE);
    for (let index = 0; index < 50; index++) {
      table.take(change(`key-${index}-${"x".repeat(50)}\n`, true, 1000 * (1 + index)));
    }
    for (let columns = 1; columns < 100; columns += 7) {
      for (let rows = 1; rows < 12; rows++) {
        const lines = table.lines({ columns, rows }, 60_000, plain);
        expect(lines.length).toBeLessThanOrEqual(rows);
        for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
      }
    }
    const lines = table.lines(ROOM, 60_000, plain);
    expect(lines[3]).toMatch(/^key-49-x+…  alive/);
    expect(lines.at(-1)).toBe("44 more: those that changed last are shown");
  });

  it("is drawn in time, however much there is of what holders say of themselves, and however many hold a key", () => {
    const table = new Table(PLACE);
    for (let index = 0; index < 40; index++) {
      table.take(change(`key-${index}`, true, 1000, { holders: holders(1, "é".repeat(8000)) }));
    }
    table.take(change("shared", true, 1000, { holders: holders(1000, "é".repeat(100)) }));
    const before = process.cpuUsage();
    const lines = table.lines({ columns: 80, rows: 50 }, 2000, plain);
    const { user } = process.cpuUsage(before); // time on a processor: waiting for one is not judged
    expect(user / 1000).toBeLessThan(500);
    expect(lines[3]).toMatch(/^key-0 .* h:7 "é+…$/);
    expect(lines[3]).toHaveLength(80);
  });
});

describe("watch on a terminal", () => {
  it("shows a table that follows what happens and the size of the window, and leaves the terminal as it was", async () => {
    const env = await newStore();
    const held = await holding("worker-1", env);
    const { running, type, resize } = inTerminal([process.execPath, main(), "watch"], env);
    await running.says("stdout", /\[\?1049h[^]*presence {2}1 key alive[^]*SQLite in \/[^]*worker-1 {2}alive/);
    held.child.kill("SIGINT");
    await running.says("stdout", /0 keys alive, 1 died recently[^]*worker-1 {2}dead/);
    resize(24, 6);
    await running.says("stdout", /presence {2}0 keys alive,…/);
    type(CTRL_C);
    const { code, stdout } = await running.ended;
    expect(stdout.slice(stdout.lastIndexOf("\u001b[?25h"))).toBe("\u001b[?25h\u001b[?1049l");
    expect(code).toBe(130);
  });

  it("gives the terminal back while it is suspended, and takes it again", async () => {
    const { running, type, resume } = inTerminal([process.execPath, main(), "watch"], await newStore());
    await running.says("stdout", /0 keys alive/);
    type(CTRL_Z);
    await running.says("stdout", /\[\?25h.\[\?1049l$/);
    resume();
    await running.says("stdout", /\[\?1049l.\[\?1049h[^]*0 keys alive/);
    type(CTRL_C);
    expect((await running.ended).code).toBe(130);
  });

  it("gives the terminal back when Ctrl-\\ ends it", async () => {
    const { running, type } = inTerminal([process.execPath, main(), "watch"], await newStore());
    await running.says("stdout", /0 keys alive/);
    type(CTRL_BACKSLASH);
    const { code, stdout } = await running.ended;
    expect([code, stdout]).toEqual([-3 & 255, expect.stringMatching(/\[\?25h.\[\?1049l/)]);
  });

  it.each([
    ["with --plain", ["--plain"], {}],
    ["where the terminal cannot be drawn on", [], { TERM: "dumb" }],
  ])("prints lines %s", async (_, flags, more) => {
    const env = { ...(await newStore()), ...more };
    await holding("worker-1", env);
    const { running, type } = inTerminal([process.execPath, main(), "watch", ...flags], env);
    await running.says("stdout", /Z {2}worker-1 +\S*alive\S* {2}initial/);
    type(CTRL_C);
    expect((await running.ended).stdout).not.toContain("\u001b[?1049h");
  });
});
