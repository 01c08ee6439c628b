/** heartbit/dashboard: a page that shows what is alive, and the routes that it reads. */
export { type Dashboard, dashboard } from "./dashboard.ts";
export type { DashboardOptions } from "./options.ts";
