/**
 * A turn of the event loop. The function comes from Node's module, and when this file is loaded: fake timers of test
 * runners replace the global one, and would keep it waiting for ever.
 */
// oxlint-disable-next-line eslint/no-restricted-imports -- it only gives way: nothing waits for a time here
import { setImmediate } from "node:timers";

const later = setImmediate;

export function turn(): Promise<void> {
  return new Promise((resolve) => {
    later(resolve);
  });
}

/** After all sockets that are found closed now have said so: Node reports that at the end of a turn. */
export async function afterClosings(): Promise<void> {
  await turn();
  await turn();
}
