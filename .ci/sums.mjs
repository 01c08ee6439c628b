// Prints how many tests of a JSON report of vitest passed and failed, and adds to a file what failed, and how.
//
//     node .ci/sums.mjs REPORT FAILURES
import { appendFileSync, readFileSync } from "node:fs";

const [report, failures] = process.argv.slice(2);
const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(report, "utf8"));
for (const { name, status, message, assertionResults } of testResults) {
  const failed = assertionResults.filter((test) => test.status === "failed");
  for (const { fullName, failureMessages } of failed)
    tell(`${name}: ${fullName}`, failureMessages.join("\n"));
  if (status === "failed" && failed.length === 0) tell(name, message);
}
process.stdout.write(`${numPassedTests} ${numFailedTests}\n`);

function tell(what, how) {
  appendFileSync(failures, `${what}\n${how.replace(/^/gm, "    ")}\n`);
}
