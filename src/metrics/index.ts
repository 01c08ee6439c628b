/** heartbit/metrics: metrics of a presence, for Prometheus. */
export { registerMetrics } from "./register.ts";
