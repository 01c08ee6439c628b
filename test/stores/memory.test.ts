import { describe, it } from "vitest";
import { MemoryStore, storeContract } from "../../src/testing/index.ts";

describe("MemoryStore keeps the contract", () => {
  storeContract(() => new MemoryStore(), { describe, it });
});
