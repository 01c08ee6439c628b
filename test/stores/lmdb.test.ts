import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, it } from "vitest";
import { openLmdb } from "../../src/stores/lmdb.ts";
import { storeContract } from "../../src/testing/index.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "heartbit-lmdb-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describe("LmdbStore keeps the contract", () => {
  storeContract(() => openLmdb(directory), { describe, it });
});
