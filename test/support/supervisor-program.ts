/**
 * `ringdex up` with fake nodes, as a process of its own that tests can send signals to. `--times`
 * works as in `ringdex up`: each line begins with the time.
 */
import { fileURLToPath } from "node:url";
import { withTimes } from "../../infra/files/timed-lines.js";
import { runSupervisor } from "../../infra/main/server/supervisor.js";
import { settingsOf } from "../../infra/settings/config.js";

const fakeNode = fileURLToPath(new URL("./fake-node.js", import.meta.url));
const written = process.argv.includes("--times") ? withTimes : (text: string): string => text;
const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stopping.abort());
try {
  await runSupervisor({
    settings: settingsOf(process.env),
    env: process.env,
    nodeCommand: { file: process.execPath, argumentList: [fakeNode] },
    stopping: stopping.signal,
    lookAfterMs: Number(process.env["FAKE_LOOK_AFTER_MS"] ?? 10_000),
    isOpenAllowed: process.argv.includes("--insecure"),
    say: (line) => void process.stdout.write(written(`${line}\n`)),
    report: (line) => void process.stderr.write(written(`${line}\n`)),
  });
} catch (error) {
  const reason = error instanceof Error ? error.message : String(error);
  process.stderr.write(written(`ringdex: ${reason}\n`));
  process.exitCode = 2;
}
