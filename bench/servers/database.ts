/** The databases of a run, by names of its own: a server that is given has others, and is left as it was. */
import { withDatabase } from "../../test/servers/index.ts";

/** The run's number: that of its first process, which the processes that it starts inherit. */
const run = (process.env["HEARTBIT_BENCH_RUN"] ??= `${process.pid}`);

/** What their names begin with. */
export const DATABASE_PREFIX = `hb_bench_${run}_`;

/** The connection string of a database of this run. */
export function benchDatabase(uri: string, name: string): string {
  return withDatabase(uri, `${DATABASE_PREFIX}${name}`);
}
