/** A process that holds one key with each of several peers, until it is killed. */
import { PEERS, type PeerName } from "../peers/index.ts";
import type { PeerOptions } from "../peers/peer.ts";

export interface Hold {
  readonly key: string;
  readonly peers: readonly { readonly name: PeerName; readonly options: PeerOptions }[];
}

async function hold({ key, peers }: Hold): Promise<void> {
  await Promise.all(peers.map(async ({ name, options }) => (await PEERS[name](options)).join(key)));
  process.send?.("holding");
}

process.on("message", (message: Hold) => void hold(message));
process.once("disconnect", () => process.exit());
