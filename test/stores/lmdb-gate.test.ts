import { spawnSync } from "node:child_process";
import type * as Fs from "node:fs";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { Gate } from "../../src/stores/lmdb/gate.ts";
import { passes } from "../support/wait.ts";

const disk = vi.hoisted(() => ({ isFull: false }));

vi.mock("node:fs", async (original) => {
  const fs = await original<typeof Fs>();
  /** On a full disk a file is made, and nothing can be written into it. */
  const writeFile: typeof fs.writeFileSync = (file, data, options) => {
    fs.writeFileSync(file, disk.isFull ? "" : data, options);
    if (disk.isFull) throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
  };
  const write = (file: number, bytes: Buffer, offset: number, length: number, at: number): number => {
    if (disk.isFull) throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
    return fs.writeSync(file, bytes, offset, length, at);
  };
  return { ...fs, writeFileSync: writeFile, writeSync: write };
});

/** For so long one that has its turn may be seen in it: half of what is taken for having been stopped. */
const TURN_MS = 1000;

describe("the gate of an LMDB file", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "heartbit-gate-"));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    mkdirSync(join(directory, "openers"));
    mkdirSync(join(directory, "writers"));
  });

  /** Of a process of another container, of which nobody here can know whether it lives. */
  const file = (kind: "openers" | "writers", since: number): string =>
    join(directory, kind, `${String(since).padStart(16, "0")}-elsewhere-1-x`);

  it("lets nobody open before all that came before it have had their turn, however long that takes together", async () => {
    const earlier = [1, 2, 3].map((since) => file("openers", since));
    for (const path of earlier) writeFileSync(path, "");
    let isOpen = false;
    const opening = new Gate(directory).open(() => (isOpen = true));
    for (const path of earlier) {
      await passes(TURN_MS);
      expect(isOpen).toBe(false);
      rmSync(path);
    }
    await opening;
  });

  it("lets nobody write before all that open have done so, however long that takes together", async () => {
    const gate = new Gate(directory);
    await gate.open(() => {});
    const openers = [1, 2, 3].map((since) => file("openers", since));
    for (const path of openers) writeFileSync(path, "");
    let isWritten = false;
    const writing = gate.write(async () => (isWritten = true));
    for (const path of openers) {
      await passes(TURN_MS);
      expect(isWritten).toBe(false);
      rmSync(path);
    }
    await writing;
    gate.close();
  });

  it("lets nobody open while one that came later does so already", async () => {
    const later = file("openers", 9e15);
    writeFileSync(later, "1");
    let isOpen = false;
    const opening = new Gate(directory).open(() => (isOpen = true));
    await passes(TURN_MS / 10);
    expect(isOpen).toBe(false);
    writeFileSync(later, "0");
    await opening;
  });

  it.each(["openers", "writers"] as const)("passes over one of the %s that stands still", async (kind) => {
    writeFileSync(file(kind, 1), "1");
    await new Gate(directory).open(() => {});
  });

  it("leaves nothing that is in the way of others where the disk is full, or the file cannot be opened", async () => {
    const left = (): string[] => ["openers", "writers"].flatMap((kind) => readdirSync(join(directory, kind)));
    disk.isFull = true;
    onTestFinished(() => void (disk.isFull = false));
    await expect(new Gate(directory).open(() => {})).rejects.toThrow("ENOSPC");
    expect(left()).toEqual([]);
    disk.isFull = false;
    const failing = new Gate(directory).open(() => {
      throw new Error("no LMDB file");
    });
    await expect(failing).rejects.toThrow("no LMDB file");
    expect(left()).toEqual([]);
  });

  it("says that it writes, also after a write that it could not say because the disk was full", async () => {
    const gate = new Gate(directory);
    await gate.open(() => {});
    const [name = ""] = readdirSync(join(directory, "writers"));
    const said = (): string => readFileSync(join(directory, "writers", name), "utf8");
    disk.isFull = true;
    onTestFinished(() => void (disk.isFull = false));
    await expect(gate.write(async () => {})).rejects.toThrow("ENOSPC");
    disk.isFull = false;
    expect(await gate.write(async () => said())).toBe("1");
    expect(said()).toBe("0");
    gate.close();
  });

  it("takes away the files of those that were killed, whether they were writing or not", async () => {
    const writers = join(directory, "writers");
    const living = new Gate(directory);
    await living.open(() => {});
    const [name = ""] = readdirSync(writers);
    const { pid } = spawnSync(process.execPath, ["--version"]);
    for (const byte of ["", "0", "1"])
      writeFileSync(join(writers, `${name.replace(`-${process.pid}-`, `-${pid}-`)}${byte}`), byte);
    const next = new Gate(directory);
    await next.open(() => {});
    expect(readdirSync(writers)).toHaveLength(2);
    expect(readdirSync(writers)).toContain(name);
    living.close();
    next.close();
  });
});
