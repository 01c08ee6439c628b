/** How many timers keep this process alive. */
export function timersThatHold(): number {
  return process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
}
