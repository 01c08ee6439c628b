/** For tests: the built page in a real Chromium, served from this process. */
import { join } from "node:path";
import axe from "axe-core";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, expect, inject, onTestFinished } from "vitest";
import type * as Dashboards from "../../src/dashboard/index.ts";
import type * as Library from "../../src/index.ts";
import type * as Testing from "../../src/testing/index.ts";
import { launchChromium } from "./chromium.ts";

/** After this long a page hangs, however busy the machine is: less than the runner allows, to say what was waited for. */
export const HANGS_MS = 100_000;

/** A browser for the tests of a file, which are passed over where there is none. */
export function useBrowser(): () => Browser {
  let launched: Browser | string = "The browser has not started.";
  beforeAll(async () => {
    launched = await launchChromium();
  });
  afterAll(() => (typeof launched === "string" ? undefined : launched.close()));
  beforeEach(({ skip }) => {
    if (typeof launched === "string") skip(launched);
  });
  return () => {
    if (typeof launched === "string") throw new Error(launched);
    return launched;
  };
}

export interface Visit {
  readonly page: Page;
  /** What the page complained of: errors of its scripts, and what its policy refused. */
  readonly complaints: string[];
  /** The other hosts that it asked. */
  readonly strangers: string[];
}

/** Opens a page of its own, and closes it with the test. */
export async function visit(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Visit> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    locale: "en-GB",
    // A colour on its way to another is neither.
    reducedMotion: "reduce",
    ...options,
  });
  onTestFinished(() => context.close());
  context.setDefaultTimeout(HANGS_MS); // before the test's own, so that a failure says what was waited for
  const page = await context.newPage();
  const complaints: string[] = [];
  const strangers: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (/policy|refused to/i.test(message.text())) complaints.push(message.text());
  });
  const { origin } = new URL(url);
  page.on("request", (request) => {
    if (!request.url().startsWith(`${origin}/`)) strangers.push(request.url());
  });
  await page.goto(url);
  return { page, complaints, strangers };
}

/** What axe finds wrong with the page as it is now, in a line each. */
export async function wrongs(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => (window as unknown as { axe: typeof axe }).axe.run());
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}

type Built = typeof Library & typeof Testing & typeof Dashboards;

/** The built package: the page is served from there, and needs a presence of the same copy. */
export async function built(): Promise<Built> {
  const parts = [".", "testing", "dashboard"].map(
    (part) => import(join(inject("built"), part, "index.js")) as Promise<object>,
  );
  return Object.assign({}, ...(await Promise.all(parts))) as Built;
}

/** Resolves when the page shows what is wanted: what it shows is told where it does not in time. */
export async function shows(page: Page, read: () => unknown, wanted: unknown): Promise<void> {
  await expect.poll(read, { timeout: HANGS_MS, interval: 50 }).toEqual(wanted);
  expect(page.isClosed()).toBe(false);
}
