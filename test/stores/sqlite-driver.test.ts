import { describe, expect, it, vi } from "vitest";
import { findDriver, isSafe, loadDriver } from "../../src/stores/sqlite/driver.ts";

/** A package whose SQLite has this version. */
const packageOf = (version: string): unknown => ({
  DatabaseSync: class {
    readonly version = version;
    close(): void {}
    prepare(): unknown {
      return { get: () => ({ version }) };
    }
  },
});

/** Node's way to say that a module is not there. */
const missing = (name: string): Error =>
  Object.assign(new Error(`Cannot find module '${name}'\nRequire stack:\n- /app/driver.js`), {
    code: "MODULE_NOT_FOUND",
  });

/** What `require` gives: the package, or what it throws. */
const modules =
  (found: Record<string, unknown>) =>
  (name: string): unknown => {
    const one = found[name] ?? missing(name);
    if (one instanceof Error) throw one;
    return one;
  };

const versionOf = (connect: unknown): string => new (connect as new () => { version: string })().version;

const refusalOf = (found: Record<string, unknown>): { code: string; message: string } => {
  try {
    findDriver(modules(found));
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error("a driver was found");
};

function loadWithWarnings(): unknown {
  process.emitWarning(
    "SQLite is an experimental feature and might change at any time",
    "ExperimentalWarning",
  );
  process.emitWarning("another warning");
  return packageOf("3.53.4");
}

describe("the package that brings SQLite", () => {
  it("is Node's own where that is safe, else the one that is installed", () => {
    const both = { "node:sqlite": packageOf("3.53.4"), "@photostructure/sqlite": packageOf("3.53.0") };
    expect(versionOf(findDriver(modules(both)))).toBe("3.53.4");
    const old = { ...both, "node:sqlite": packageOf("3.50.4") };
    expect(versionOf(findDriver(modules(old)))).toBe("3.53.0");
    const none = { "@photostructure/sqlite": packageOf("3.53.0") };
    expect(versionOf(findDriver(modules(none)))).toBe("3.53.0");
  });

  it("is refused where several processes may damage the file, and only there", () => {
    const unsafe = ["3.51.2", "3.51.0", "3.50.6", "3.49.9", "3.44.5", "3.7.0"];
    const safe = ["3.51.3", "3.52.0", "3.54.0", "3.50.7", "3.44.6", "4.0.0"];
    expect(unsafe.filter(isSafe)).toEqual([]);
    expect(safe.filter(isSafe)).toEqual(safe);
  });

  it("that is missing is named, with how to install it", () => {
    expect(refusalOf({})).toMatchObject({
      code: "UNSUPPORTED_SERVER",
      message: expect.stringMatching(/not installed: run `npm install @photostructure\/sqlite@1`/),
    });
    expect(refusalOf({ "node:sqlite": packageOf("3.50.4") })).toMatchObject({
      code: "UNSUPPORTED_SERVER",
      message: expect.stringMatching(/SQLite 3\.50\.4, .*run `npm install @photostructure\/sqlite@1`/),
    });
  });

  it("that is installed and does not load is not called missing: the error has the true cause", () => {
    for (const cause of [
      new Error("No native build was found for platform=linux arch=riscv64"),
      missing("node-gyp-build"),
    ]) {
      const { code, message } = refusalOf({ "@photostructure/sqlite": cause });
      expect(code).toBe("UNSUPPORTED_SERVER");
      expect(message).toContain(cause.message.split("\n")[0]);
      expect(message).not.toContain("npm install");
    }
  });

  it("is loaded without a warning of Node's on stderr", () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    findDriver(loadWithWarnings);
    expect(warn.mock.calls.map(([warning]) => warning)).toEqual(["another warning"]);
    warn.mockRestore();
  });

  it("is there in this Node", () => {
    const connection = loadDriver()(":memory:");
    expect(connection.prepare("SELECT 1 AS one").get()).toMatchObject({ one: 1 });
    connection.close();
  });
});
