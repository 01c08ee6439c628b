/** Redis, etcd and ZooKeeper, as `bench/servers.sh` starts them. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type BenchServer, used } from "./server.ts";

const run = promisify(execFile);
/** Seen from where the compiled file lies: bench/dist/bench/servers. */
const SCRIPT = fileURLToPath(new URL("../../../servers.sh", import.meta.url));

export type OtherName = "redis" | "etcd" | "zookeeper";

export interface Others {
  readonly running: Readonly<Partial<Record<OtherName, BenchServer>>>;
  /** Those that are not installed. */
  readonly missing: readonly OtherName[];
  stop(): Promise<void>;
}

export async function startOthers(): Promise<Others> {
  const folder = await mkdtemp(join(tmpdir(), "heartbit-bench-"));
  const running: Partial<Record<OtherName, BenchServer>> = {};
  const missing: OtherName[] = [];
  const { stdout } = await run(SCRIPT, ["start", folder]);
  for (const line of stdout.trim().split("\n")) {
    const [name, port, pid, version] = line.split(" ") as [OtherName, string, string?, string?];
    if (pid === undefined) {
      missing.push(name);
      used.missing.add(name);
    } else {
      used.running.add(`${name} ${version}`);
      running[name] = {
        name: `${name} ${version}`,
        pid: Number(pid),
        address: { host: "127.0.0.1", port: Number(port) },
        stop: () => Promise.resolve(), // with the others
      };
    }
  }
  return {
    running,
    missing,
    stop: async () => {
      await run(SCRIPT, ["stop", folder]);
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
