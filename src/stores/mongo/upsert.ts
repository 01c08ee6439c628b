import type { Document } from "mongodb";
import { codeOf, DUPLICATE_KEY, ServerRefusal, toHeartbitError } from "./failures.ts";

const ATTEMPTS_MAX = 10;

type Run = (doing: string, command: Document, limitMs: number) => Promise<Document>;

/**
 * Updates the document with an `_id`, or creates it, and returns the result. If several clients create it at once, all
 * but one may fail with E11000, as MongoDB documents; repeated, they find it.
 */
export async function upsert(
  run: Run,
  doing: string,
  command: Document & { readonly findAndModify: string },
  limitMs: number,
): Promise<Document> {
  for (let attempt = 1; ; attempt++) {
    try {
      const { value }: Document = await run(doing, { ...command, upsert: true, new: true }, limitMs);
      if (typeof value === "object" && value !== null) return value as Document;
      // Some compatible servers answer with no document instead of E11000.
      if (attempt === ATTEMPTS_MAX)
        throw new ServerRefusal(DUPLICATE_KEY, `${command.findAndModify} is contended`);
    } catch (error) {
      if (codeOf(error) !== DUPLICATE_KEY || attempt === ATTEMPTS_MAX) throw toHeartbitError(error, doing);
    }
  }
}
