export { MemoryStore, type MemoryStoreOptions } from "../stores/memory.ts";
export { storeContract, type TestApi } from "./contract.ts";
export { ManualClock, type ManualClockOptions } from "./manual-clock.ts";
