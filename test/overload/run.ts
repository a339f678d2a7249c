/**
 * `make overload`; see overload.ts.
 */
import { overload } from "./overload.js";

/** Of the rate before. */
const RECOVERED = 0.8;

const problems = await overload({
  burst: whole("BURST", "50000"),
  seconds: whole("SECONDS", "60"),
  recovered: RECOVERED,
  say: (line) => void process.stdout.write(`${line}\n`),
});
for (const problem of problems) process.stdout.write(`PROBLEM ${problem}\n`);
process.stdout.write(problems.length === 0 ? "all as it must be\n" : "not as it must be\n");
process.exitCode = problems.length === 0 ? 0 : 1;

function whole(name: string, otherwise: string): number {
  const { [name]: text = otherwise } = process.env;
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new RangeError(`${name} is ${JSON.stringify(text)}; it must be a whole number, 1 or more`);
}
