/** heartbit/metrics: what happens in a presence, for Prometheus. */
export { registerMetrics } from "./register.ts";
