/** Finding documents, page by page, each within its time. */
import type { Document, RunCommandCursor } from "mongodb";
import { quietly } from "../../lib/handled.ts";
import { PLAIN } from "./calls.ts";
import type { Context } from "./context.ts";

export const PAGE_DOCUMENTS = 1000;
/** `maxTimeMS` counts the server's work on a whole cursor, our limit on each page. */
const PAGES_IN_TIME = 10;
/** A read of records has as many pages as there are. The limit of each page ends it sooner. */
export const MANY_PAGES = 10_000;

type Doc = Document & { _id: unknown };

interface FindOptions {
  readonly limit?: number;
  readonly projection?: Document;
  readonly sort?: Document;
  readonly readConcern?: { readonly level: string };
}

/**
 * Documents in batches, each within the limit. Ending the iteration early kills the cursor on the server. A plain
 * command, which the driver does not repeat: see `Calls.twice`.
 */
export async function* find(
  context: Context,
  collection: string,
  filter: Document,
  options: FindOptions = {},
  pagesInTime = PAGES_IN_TIME,
): AsyncGenerator<Doc[]> {
  const { calls, limits } = context;
  const { readConcern = (await context.server()).readConcern, limit = Infinity } = options;
  const abort = new AbortController();
  const command = {
    find: collection,
    filter,
    ...options,
    readConcern,
    // One more than the limit lets the server close the cursor with its first answer.
    batchSize: Math.min(limit + 1, PAGE_DOCUMENTS),
    maxTimeMS: pagesInTime * limits.bulkMs,
  };
  const cursorOptions: Document = { ...PLAIN, signal: abort.signal };
  const open = (): RunCommandCursor =>
    calls.db.runCursorCommand(command, cursorOptions).setBatchSize(PAGE_DOCUMENTS);
  let cursor: RunCommandCursor | undefined;
  const page = async (signal: AbortSignal): Promise<Doc[]> => {
    signal.addEventListener("abort", () => abort.abort(), { once: true });
    const began = cursor;
    const hasNext =
      began === undefined
        ? await calls.twice(signal, () => (cursor = open()).hasNext())
        : await began.hasNext();
    return hasNext ? ((cursor as RunCommandCursor).readBufferedDocuments() as Doc[]) : [];
  };
  try {
    for (;;) {
      const batch = await calls.bounded("read", limits.bulkMs, page);
      if (batch.length === 0) return;
      yield batch;
    }
  } finally {
    await quietly(calls.bounded("end a read", limits.closingMs, async () => cursor?.close()));
  }
}
