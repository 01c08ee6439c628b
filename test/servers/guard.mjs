// Runs a server for as long as its parent lives: `node guard.mjs DIRECTORY COMMAND ARGS...`.
//
// Its standard input is a pipe from the parent that nothing is ever written to: it ends when the parent ends, however
// that happens. Then the server is killed and its directory removed. It writes `pid: N`, and then what the server writes.
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";

const [directory, command, ...args] = process.argv.slice(2);
const server = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"] });

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => {}); // the parent decides
server.on("error", (error) => {
  console.error(error.message);
  process.exit(127);
});
server.on("spawn", () => console.log(`pid: ${server.pid}`));
server.on("exit", (code, signal) => process.exit(signal === null ? code : 1));
process.stdin.resume();
process.stdin.on("end", () => {
  server.kill("SIGKILL");
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
});
