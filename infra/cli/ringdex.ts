#!/usr/bin/env node
/**
 * The `ringdex` program: hands this process's streams, environment and signals to the command
 * line (program.ts) and ends with the code that it says.
 */
import { processCommandLine } from "./argument-bytes.js";
import { processOutput } from "./output.js";
import { runCli } from "./program.js";

const stopping = new AbortController();

/** Only a command that asks for it handles signals; all others just end on Ctrl-C. */
function stoppingOnSignals(): AbortSignal {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    if (process.listenerCount(signal) === 0) process.on(signal, () => stopping.abort());
  }
  return stopping.signal;
}

// A closed terminal is no reason to leave a cluster half stopped.
process.stderr.on("error", () => undefined);

const output = processOutput(process.stdout);
const code = await runCli(process.argv.slice(2), {
  commandLine: processCommandLine,
  env: process.env,
  stdin: process.stdin,
  out: output.write,
  outEnd: output.end,
  outFailed: output.failed,
  stderr: (text) => void process.stderr.write(text),
  isTerminal: process.stdout.isTTY,
  // Asked at each table: a window may be resized while a watch runs.
  get columns() {
    return process.stdout.isTTY ? process.stdout.columns : undefined;
  },
  bar: process.stderr.isTTY ? process.stderr : undefined,
  get stopping() {
    return stoppingOnSignals();
  },
});
// Not exitCode alone: a forgotten handle must not keep a finished command alive. All
// output is out by now.
process.exit(code);
