/** What is installed for the tests, once, and kept for later runs. */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** Has a folder made, where it is not there: as a draft beside it, since it must be whole or missing. */
export async function makeOnce(folder: string, make: (draft: string) => Promise<unknown>): Promise<string> {
  if (existsSync(folder)) return folder;
  await mkdir(dirname(folder), { recursive: true });
  const draft = await mkdtemp(`${folder}-`);
  try {
    await make(draft);
    await rename(draft, folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error; // else another run was sooner
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return folder;
}
