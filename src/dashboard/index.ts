/** heartbit/dashboard: a page that shows which keys are alive, and the routes that it reads. */
export { type Dashboard, dashboard } from "./dashboard.ts";
export { toNodeListener } from "./node-listener.ts";
export type { DashboardOptions } from "./options.ts";
