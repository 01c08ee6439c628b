/** For tests: a Chromium that starts on this machine, from the PATH or from a package of the registry. */
import { execFile, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Browser, chromium } from "playwright-core";
import { cache } from "../servers/install.ts";

const run = promisify(execFile);

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const PACKAGE = "@sparticuz/chromium";
const UNPACK = fileURLToPath(new URL("unpack-chromium.mjs", import.meta.url));
const ROOT = new URL("../../", import.meta.url);

/** A program, and what to add to its environment. */
interface Candidate {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
}

/** The first Chromium that starts; or, where none does, a sentence for the person who misses the tests of the page. */
export async function launchChromium(): Promise<Browser | string> {
  const failures: string[] = [];
  const tryAll = async (candidates: readonly Candidate[]): Promise<Browser | undefined> => {
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
    return undefined;
  };
  const found = await tryAll(onPath());
  if (found !== undefined) return found;
  let packaged: Browser | undefined;
  try {
    packaged = await tryAll(await inPackage());
  } catch (error) {
    failures.push(`${PACKAGE}: ${lineOf(error)}`);
  }
  const why = failures.length === 0 ? "" : ` (${failures.join("; ")})`;
  return packaged ?? `No Chromium starts here${why}: install one, on Debian with "apt-get install chromium".`;
}

/** Rejects where it does not start, or cannot show a page with text. */
async function launch({ path, env }: Candidate, args: readonly string[]): Promise<Browser> {
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

function onPath(): Candidate[] {
  const { stdout } = spawnSync("which", ["-a", ...NAMES], { encoding: "utf8" });
  return stdout.split("\n").flatMap((path) => (path === "" ? [] : [{ path, env: {} }]));
}

/** The one of the package, with the libraries and fonts of this machine, and with those of the package. */
async function inPackage(): Promise<Candidate[]> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error(`it is for Linux on x64, and this is ${process.platform} on ${process.arch}`);
  }
  const manifest = await readFile(new URL(`node_modules/${PACKAGE}/package.json`, ROOT), "utf8").catch(() => {
    throw new Error("it is not installed");
  });
  const { version } = JSON.parse(manifest) as { version: string };
  const folder = join(cache, `chromium-${version}`);
  const path = join(folder, "chromium");
  if (!existsSync(path)) await unpack(folder);
  return [
    { path, env: {} },
    { path, env: { LD_LIBRARY_PATH: join(folder, "al2023", "lib"), FONTCONFIG_PATH: folder } },
  ];
}

/** Into a new folder that is then renamed: another run beside this one never finds half a browser. */
async function unpack(folder: string): Promise<void> {
  await mkdir(cache, { recursive: true });
  const fresh = await mkdtemp(`${folder}-`);
  try {
    await run(process.execPath, [UNPACK, fresh]);
    await chmod(fresh, 0o755);
    const fonts = `<fontconfig><dir>${join(folder, "fonts")}</dir><cachedir>${join(folder, "cache")}</cachedir></fontconfig>`;
    await writeFile(join(fresh, "fonts.conf"), `<?xml version="1.0"?>\n${fonts}\n`);
    await rename(fresh, folder);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    if (!existsSync(join(folder, "chromium"))) throw error; // unless another run was quicker
  }
}

/** The line that says why: of what a browser prints before it ends, the one that names what is missing. */
function lineOf(error: unknown): string {
  const lines = (error instanceof Error ? error.message : String(error)).split("\n");
  return (lines.find((line) => line.includes("error while loading")) ?? lines[0] ?? "").trim();
}
