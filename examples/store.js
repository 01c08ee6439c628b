// Where the examples live: what HEARTBIT_STORE says, else an LMDB directory for all processes of this machine.
import { tmpdir } from "node:os";
import { join } from "node:path";

export const store = process.env.HEARTBIT_STORE ?? `lmdb:${join(tmpdir(), "heartbit-examples")}`;
