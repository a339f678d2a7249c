/**
 * `node dist/test/programs/demo/check-stores-program.js <data folder>`: checks all stores of a
 * stopped cluster, and prints what is wrong with them. Exit code 0 only if nothing is.
 */
import { checkStores } from "./check-stores.js";

const [dataFolder] = process.argv.slice(2);
try {
  if (dataFolder === undefined) throw new Error("give it the data folder of a stopped cluster");
  const { stores, problems, recordCount, indexRowCount } = await checkStores(dataFolder);
  const counts = `${recordCount} records and ${indexRowCount} index rows`;
  process.stdout.write(`${stores.length} stores, ${counts}, ${problems.count} problems\n`);
  for (const line of problems.lines()) process.stdout.write(`${line}\n`);
  process.exitCode = problems.count === 0 ? 0 : 1;
} catch (error) {
  process.stderr.write(`check-stores: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
