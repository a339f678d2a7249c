/**
 * `make overload`; see overload.ts.
 */
import { overload } from "./overload.js";

const { BURST = "50000", SECONDS = "60" } = process.env;
const problems = await overload({
  burst: Number(BURST),
  seconds: Number(SECONDS),
  say: (line) => void process.stdout.write(`${line}\n`),
});
for (const problem of problems) process.stdout.write(`PROBLEM ${problem}\n`);
process.stdout.write(problems.length === 0 ? "all as it must be\n" : "not as it must be\n");
process.exitCode = problems.length === 0 ? 0 : 1;
