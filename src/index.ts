export type { Clock } from "./core/clock.ts";
export { type ErrorCode, HeartbitError } from "./core/errors.ts";
export type { Store } from "./core/store.ts";
