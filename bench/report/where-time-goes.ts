/** For goals that are not reached: where the time goes, as profiles have shown. By the goal's id. */
export const whereTimeGoes: Readonly<Record<string, string>> = {};
