/** The query of a request: known parameters, each once unless it is a list. */
import { Refusal } from "./refusal.ts";

export interface Query {
  /** How many parameters were given. */
  readonly size: number;
  readonly has: (name: string) => boolean;
  /** The value of a parameter; undefined if it is absent. Throws a refusal if it is given twice. */
  readonly one: (name: string) => string | undefined;
  /** All values of a parameter, in their order. */
  readonly all: (name: string) => readonly string[];
}

/**
 * The parameters of the request. Throws a refusal for an unknown parameter, since a misspelled one would otherwise be
 * ignored, and for text that is not UTF-8, which would name another key.
 */
export function queryOf({ url }: Request, known: readonly string[]): Query {
  const values = new Map<string, string[]>();
  const parts = new URL(url).search.slice(1).split("&");
  for (const part of parts) {
    if (part === "") continue;
    const at = part.includes("=") ? part.indexOf("=") : part.length;
    const name = decode(part.slice(0, at));
    if (!known.includes(name)) {
      const wanted = known.length === 0 ? "This takes no parameters." : `Known are ${known.join(", ")}.`;
      throw new Refusal("BAD_REQUEST", `There is no such parameter. ${wanted}`);
    }
    values.set(name, [...(values.get(name) ?? []), decode(part.slice(at + 1))]);
  }
  const all = (name: string): readonly string[] => values.get(name) ?? [];
  return {
    size: values.size,
    has: (name) => values.has(name),
    one: (name) => {
      const [first, ...more] = all(name);
      if (more.length > 0) throw bad(name, "given once");
      return first;
    },
    all,
  };
}

export function bad(name: string, wanted: string): Refusal {
  return new Refusal("BAD_REQUEST", `${name[0]?.toUpperCase()}${name.slice(1)} must be ${wanted}.`);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw bad("the query", "UTF-8 with %XX escapes");
  }
}
