export { type Doomed, MemoryStore, type MemoryStoreOptions } from "../stores/memory.ts";
export { storeContract, type TestApi } from "./contract.ts";
export type { MakeStore } from "./contract/make-store.ts";
export { FaultyStore, type Operation, type Verdict } from "./faulty-store.ts";
export { ManualClock, type ManualClockOptions } from "./manual-clock.ts";
