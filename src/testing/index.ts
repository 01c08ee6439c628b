export { MemoryStore, type MemoryStoreOptions } from "../stores/memory.ts";
export { ManualClock, type ManualClockOptions } from "./manual-clock.ts";
