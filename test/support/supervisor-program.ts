/**
 * `ringdex up` with fake nodes, as a process of its own that tests can send signals to.
 */
import { fileURLToPath } from "node:url";
import { settingsOf } from "../../infra/config.js";
import { runSupervisor } from "../../infra/main/supervisor.js";

const fakeNode = fileURLToPath(new URL("./fake-node.js", import.meta.url));
const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stopping.abort());
try {
  await runSupervisor({
    settings: settingsOf(process.env),
    env: process.env,
    nodeCommand: { file: process.execPath, args: [fakeNode] },
    stopping: stopping.signal,
    say: (line) => void process.stdout.write(`${line}\n`),
    report: (line) => void process.stderr.write(`${line}\n`),
  });
} catch (error) {
  process.stderr.write(`ringdex: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
