// Where the examples live: what HEARTBIT_STORE says, else a SQLite directory for all processes of this machine.
import { tmpdir } from "node:os";
import { join } from "node:path";

export const store = process.env.HEARTBIT_STORE ?? `sqlite:${join(tmpdir(), "heartbit-examples")}`;
