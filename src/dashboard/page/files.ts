/**
 * The files of the page, by their names. `npm run build` replaces this module by one with the files that it has built.
 * They are part of a module rather than files beside it, so that bundlers include them.
 */
export const pageFiles: Readonly<Record<string, string>> = {};
