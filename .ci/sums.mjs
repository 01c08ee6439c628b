// Prints how many tests of a JSON report of vitest passed and failed, and adds to a file what failed, and how. A FILE of
// which a test was passed over has failed as well.
//
//     node .ci/sums.mjs REPORT FAILURES [FILE...]
import { appendFileSync, readFileSync } from "node:fs";

const [report, failures, ...whole] = process.argv.slice(2);
const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(report, "utf8"));
let passedOver = 0;
for (const { name, status, message, assertionResults } of testResults) {
  const failed = assertionResults.filter((test) => test.status === "failed");
  for (const { fullName, failureMessages } of failed)
    tell(`${name}: ${fullName}`, failureMessages.join("\n"));
  if (status === "failed" && failed.length === 0) tell(name, message);
}
for (const file of whole) {
  const result = testResults.find(({ name }) => name.endsWith(`/${file}`));
  if (result?.assertionResults.every((test) => test.status === "passed")) continue;
  tell(file, "Tests of it were passed over, and all of them must run here.");
  passedOver++;
}
process.stdout.write(`${numPassedTests} ${numFailedTests + passedOver}\n`);

function tell(what, how) {
  appendFileSync(failures, `${what}\n${how.replace(/^/gm, "    ")}\n`);
}
