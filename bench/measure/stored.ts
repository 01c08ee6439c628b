/** What a database takes, by the server's own figures. */
import type { Db } from "mongodb";

export interface Stored {
  readonly documents: number;
  /** Of the documents, uncompressed, and of the indexes. */
  readonly bytes: number;
}

export async function storedIn(db: Db): Promise<Stored> {
  const { objects, dataSize, indexSize } = await db.stats();
  return { documents: Number(objects), bytes: Number(dataSize) + Number(indexSize) };
}
