/** For tests: a Chromium that starts on this machine, from the PATH or from a package of the registry. */
import { execFile, spawnSync } from "node:child_process";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Browser, chromium } from "playwright-core";
import { makeOnce } from "../package/make-once.ts";
import { cache } from "../servers/install.ts";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const PACKAGE = "@sparticuz/chromium";
const UNPACK = fileURLToPath(new URL("unpack-chromium.mjs", import.meta.url));
const MANIFEST = new URL(`../../node_modules/${PACKAGE}/package.json`, import.meta.url);

/** A program, and what to add to its environment. */
interface Candidate {
  readonly path: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** The first Chromium that starts; or, where none does, a sentence for the person who misses the tests of the page. */
export async function launchChromium(): Promise<Browser | string> {
  const failures: string[] = [];
  for (const find of [onPath, inPackage]) {
    const candidates = await find().catch((error: unknown) => {
      failures.push(`${PACKAGE}: ${lineOf(error)}`);
      return [];
    });
    for (const candidate of candidates) {
      // The sandbox needs a user who is not root, and a kernel that lets users have namespaces of their own.
      for (const args of process.getuid?.() === 0 ? [["--no-sandbox"]] : [[], ["--no-sandbox"]]) {
        try {
          return await launch(candidate, args);
        } catch (error) {
          failures.push(`${candidate.path}: ${lineOf(error)}`);
        }
      }
    }
  }
  const why = failures.join("; ");
  return `No Chromium starts here (${why}): install one, on Debian with "apt-get install chromium".`;
}

/** Rejects where it does not start, or cannot show a page with text. */
async function launch({ path, env = {} }: Candidate, args: readonly string[]): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: path,
    args: ["--disable-background-networking", ...args],
    env: { ...process.env, ...env },
  });
  try {
    const page = await browser.newPage();
    await page.setContent("<p>text</p>");
    await page.close();
    return browser;
  } catch (error) {
    await browser.close();
    throw error;
  }
}

async function onPath(): Promise<Candidate[]> {
  const { stdout } = spawnSync("which", ["-a", ...NAMES], { encoding: "utf8" });
  return stdout.split("\n").flatMap((path) => (path === "" ? [] : [{ path }]));
}

/** The one of the package, with the libraries and fonts of this machine, and with those of the package. */
async function inPackage(): Promise<Candidate[]> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error(`it is for Linux on x64, and this is ${process.platform} on ${process.arch}`);
  }
  const { version } = JSON.parse(await readFile(MANIFEST, "utf8")) as { version: string };
  const folder = join(cache, `chromium-${version}`);
  await makeOnce(folder, async (draft) => {
    await promisify(execFile)(process.execPath, [UNPACK, draft]);
    await chmod(draft, 0o755);
    const [fonts, own] = [join(folder, "fonts"), join(folder, "cache")];
    const config = `<fontconfig><dir>${fonts}</dir><cachedir>${own}</cachedir></fontconfig>`;
    await writeFile(join(draft, "fonts.conf"), `<?xml version="1.0"?>\n${config}\n`);
  });
  const path = join(folder, "chromium");
  return [{ path }, { path, env: { LD_LIBRARY_PATH: join(folder, "al2023/lib"), FONTCONFIG_PATH: folder } }];
}

/** The line that says why: of what a browser prints before it ends, the one that names what is missing. */
function lineOf(error: unknown): string {
  const lines = (error instanceof Error ? error.message : String(error)).split("\n");
  return (lines.find((line) => line.includes("error while loading")) ?? lines[0] ?? "").trim();
}
