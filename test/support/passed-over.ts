/** Says at the end of a run which tests were passed over, and why: whichever reporter is used. */
import { relative } from "node:path";
import type { TestProject } from "vitest/node";

export default function setup({ vitest, config }: TestProject): () => void {
  return () => {
    const counts = new Map<string, number>();
    for (const module of vitest.state.getTestModules()) {
      for (const test of module.children.allTests("skipped")) {
        const { note } = test.result() as { note?: string };
        // Those that `-t` leaves out are not passed over for a reason of the machine's.
        if (note === undefined && vitest.getGlobalTestNamePattern() !== undefined) continue;
        const what = `${relative(config.root, module.moduleId)}: ${note ?? "no reason is given"}`;
        counts.set(what, (counts.get(what) ?? 0) + 1);
      }
    }
    for (const [what, count] of counts) console.log(`Passed over, ${count} of ${what}`);
    if (counts.size === 0) console.log("Passed over: nothing");
  };
}
