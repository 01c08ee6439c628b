import type { Store } from "../../core/store.ts";

/** Makes a store for one test: a new one, or another client of the same one. */
export type MakeStore = () => Store | Promise<Store>;
