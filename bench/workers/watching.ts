/**
 * A process that watches. It is told by its parent what to watch, and says when all its watchers have been told of a
 * change, with the moment of each, by the clock that all processes of a machine share.
 */
import { ownCpuMs } from "../measure/cpu.ts";
import { clockMs } from "../measure/time.ts";
import { PEERS, type PeerName } from "../peers/index.ts";
import type { Peer, PeerOptions } from "../peers/peer.ts";

export interface Watch {
  readonly peer: PeerName;
  readonly options: PeerOptions;
  readonly watchers: number;
}

export type FromWatching =
  | { readonly kind: "ready" }
  | {
      readonly kind: "told";
      readonly peer: PeerName;
      readonly key: string;
      readonly alive: boolean;
      readonly at: number[];
    }
  | { readonly kind: "cpu"; readonly ms: number };

const peers: Peer[] = [];
const say = (message: FromWatching): boolean | undefined => process.send?.(message);

process.on("message", (message: Watch | "cpu") => {
  if (message === "cpu") say({ kind: "cpu", ms: ownCpuMs() });
  else void watch(message).then(() => say({ kind: "ready" }));
});
process.once(
  "disconnect",
  () => void Promise.all(peers.map((peer) => peer.close())).then(() => process.exit()),
);

async function watch({ peer: name, options, watchers }: Watch): Promise<void> {
  const times = new Map<string, number[]>();
  const told = (key: string, alive: boolean): void => {
    const change = `${key} ${alive}`;
    const at = times.get(change) ?? [];
    if (at.push(clockMs()) === 1) times.set(change, at);
    if (at.length < watchers) return;
    times.delete(change);
    say({ kind: "told", peer: name, key, alive, at });
  };
  const peer = await PEERS[name](options);
  peers.push(peer);
  for (let index = 0; index < watchers; index++) await peer.watch(told);
}
