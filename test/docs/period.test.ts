/** Figures that can be computed, against the formula, the calculator and a count. */
import { expect, it } from "vitest";
import { planFor } from "../../src/cli/bench/plan.ts";
import { Presence } from "../../src/index.ts";
import { read } from "./pages.ts";

/** The cells of the rows that begin as the pattern says. */
function rows(page: string, pattern: RegExp): string[][] {
  const lines = read(page).split("\n");
  return lines
    .filter((line) => pattern.test(line))
    .map((line) =>
      line
        .slice(1, -1)
        .split("|")
        .map((one) => one.trim()),
    );
}

const msOf = (cell: string): number => Number.parseFloat(cell) * (/\d ms/.test(cell) ? 1 : 1000);
const inSeconds = (ms: number): string => `${Number((ms / 1000).toPrecision(6))}`;

it.each(["README.md", "docs/period.md"])("the table of periods in %s follows the formula", (page) => {
  const table = rows(page, /^\| \d+ m?s/);
  expect(table.length).toBeGreaterThan(4);
  for (const row of table) {
    const periodMs = msOf(row[0] ?? "");
    expect(row[1]).toBe(`${inSeconds(1.1 * periodMs)} to ${inSeconds(2.5 * periodMs)} s`);
    expect(row.at(-1)).toBe((86_400_000 / periodMs).toLocaleString("en"));
  }
});

it("the table of costs is what heartbit bench --plan reckons", () => {
  const table = rows("docs/period.md", /^\| [\d,]+ \| \d+ s \|/);
  expect(table.length).toBeGreaterThan(4);
  for (const [processes = "", period = "", pings = "", oplog = ""] of table) {
    const query = { processes: Number(processes.replace(",", "")), periodMs: msOf(period), servers: 3 };
    const plan = planFor(query);
    expect([pings, oplog]).toEqual([
      plan.pingsPerSecond.toLocaleString("en"),
      Math.round(plan.oplogMbPerDay).toLocaleString("en"),
    ]);
  }
});

it("the reached goals of the benchmarks are counted", () => {
  const page = read("docs/benchmarks.md");
  const [, reached, goals] = /^(\d+) of (\d+) are reached\.$/m.exec(page) ?? [];
  expect(page.match(/^- Reached: /gm)).toHaveLength(Number(reached));
  expect(page.match(/^- (\*\*Not reached\*\*|Reached): /gm)).toHaveLength(Number(goals));
});

it("a presence without a period does not adopt the namespace's, and is refused with what to pass", async () => {
  const presence = await Presence.open("memory:period", { periodMs: 1000 });
  await expect(Presence.open("memory:period")).rejects.toMatchObject({
    code: "CONFIG_MISMATCH",
    message: expect.stringMatching(/ periodMs 5000, which is the default: pass periodMs: 1000\.$/),
  });
  await presence.close();
});
