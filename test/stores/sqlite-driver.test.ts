import { describe, expect, it, vi } from "vitest";
import { findDriver, isSafe, loadDriver } from "../../src/stores/sqlite/driver.ts";

const NODES = "node:sqlite";
const PACKAGE = "@photostructure/sqlite";

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

/** Finds the driver where `require` gives these packages, or throws these errors. */
const find = (modules: Record<string, unknown>): unknown =>
  findDriver((name) => {
    const one = modules[name] ?? missing(name);
    if (one instanceof Error) throw one;
    return one;
  });

const versionOf = (connect: unknown): string => new (connect as new () => { version: string })().version;

describe("the package that brings SQLite", () => {
  it("is Node's own where that is safe, else the one that is installed", () => {
    const installed = { [PACKAGE]: packageOf("3.53.0") };
    expect(versionOf(find({ ...installed, [NODES]: packageOf("3.53.4") }))).toBe("3.53.4");
    expect(versionOf(find({ ...installed, [NODES]: packageOf("3.50.4") }))).toBe("3.53.0");
    expect(versionOf(find(installed))).toBe("3.53.0");
  });

  it("is refused where several processes may damage the file, and only there", () => {
    const unsafe = ["3.51.2", "3.51.0", "3.50.6", "3.49.9", "3.44.5", "3.7.0"];
    const safe = ["3.51.3", "3.52.0", "3.54.0", "3.50.7", "3.44.6", "4.0.0"];
    expect(unsafe.filter(isSafe)).toEqual([]);
    expect(safe.filter(isSafe)).toEqual(safe);
  });

  it.each([
    [{}, "not installed: run `npm install @photostructure/sqlite@1`"],
    [{ [NODES]: packageOf("3.50.4") }, "SQLite 3.50.4, .*: run `npm install @photostructure/sqlite@1`"],
    // What is installed and does not load is not called missing: the error has the true cause.
    [{ [PACKAGE]: new Error("No build for arch=riscv64") }, "does not load: No build for arch=riscv64.$"],
    [{ [PACKAGE]: missing("node-gyp-build") }, "does not load: Cannot find module 'node-gyp-build'.$"],
  ])("is refused, of %o, with what to do or the true cause", (modules, why) => {
    const message: unknown = expect.stringMatching(why);
    expect(() => find(modules)).toThrow(expect.objectContaining({ code: "UNSUPPORTED_SERVER", message }));
  });

  it("is loaded without a warning of Node's on stderr", () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    findDriver(() => {
      process.emitWarning("SQLite is an experimental feature and might change", "ExperimentalWarning");
      process.emitWarning("another warning");
      return packageOf("3.53.4");
    });
    expect(warn.mock.calls.map(([warning]) => warning)).toEqual(["another warning"]);
    warn.mockRestore();
  });

  it("is there in this Node", () => {
    const connection = loadDriver()(":memory:");
    expect(connection.prepare("SELECT 1 AS one").get()).toMatchObject({ one: 1 });
    connection.close();
  });
});
