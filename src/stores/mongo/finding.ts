/** Finding documents, page by page, each within its time. */
import type { Collection, Document, Filter, FindOptions } from "mongodb";
import { PLAIN } from "./calls.ts";
import type { Context } from "./context.ts";

export const PAGE_DOCUMENTS = 1000;
/** `maxTimeMS` counts the server's work on a whole cursor, ours on each page. */
const PAGES_IN_TIME = 10;

type Doc = Document & { _id: unknown };

/** Documents in batches, each within the limit. Ending the iteration early kills the cursor on the server. */
export async function* find(
  context: Context,
  collection: string,
  filter: Document,
  options: Pick<FindOptions, "limit" | "projection" | "readConcern" | "sort"> = {},
): AsyncGenerator<Doc[]> {
  const { calls, limits } = context;
  const { readConcern = (await context.server()).readConcern } = options;
  const abort = new AbortController();
  const documents: Collection<Doc> = calls.db.collection<Doc>(collection, { readConcern, ...PLAIN });
  const cursor = documents.find(filter as Filter<Doc>, {
    ...options,
    ...PLAIN,
    readConcern,
    readPreference: "primary",
    batchSize: PAGE_DOCUMENTS,
    maxTimeMS: PAGES_IN_TIME * limits.bulkMs,
    signal: abort.signal,
  });
  const next = async (signal: AbortSignal): Promise<Doc[]> => {
    signal.addEventListener("abort", () => abort.abort(), { once: true });
    return (await cursor.hasNext()) ? cursor.readBufferedDocuments() : [];
  };
  try {
    for (;;) {
      const batch = await calls.bounded("read", limits.bulkMs, next);
      if (batch.length === 0) return;
      yield batch;
    }
  } finally {
    await calls.bounded("end a read", limits.closingMs, () => cursor.close()).catch(() => undefined);
  }
}
