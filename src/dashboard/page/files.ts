/**
 * The files of the page, by their names: `npm run build` writes this module anew, with the files that it has built. They
 * are part of a module, not files beside it, so that they are in whatever a bundler makes of a program.
 */
export const pageFiles: Readonly<Record<string, string>> = {};
