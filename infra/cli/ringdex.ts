#!/usr/bin/env node
/**
 * The `ringdex` program: hands this process's streams, environment and signals to the command
 * line (program.ts) and ends with the code that it says.
 */
import { runCli } from "./program.js";

const stopping = new AbortController();

/** Only a command that asks for it handles signals; all others just end on Ctrl-C. */
function stoppingOnSignals(): AbortSignal {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    if (process.listenerCount(signal) === 0) process.on(signal, () => stopping.abort());
  }
  return stopping.signal;
}

// Whoever read our output has seen enough (`ringdex keys | head`).
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});
// A closed terminal is no reason to leave a cluster half stopped.
process.stderr.on("error", () => undefined);

const code = await runCli(process.argv.slice(2), {
  env: process.env,
  stdin: process.stdin,
  out: (text) => void process.stdout.write(text),
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
// Not exitCode alone: a handle that somebody forgot must not keep a finished command alive. The
// empty write's callback comes when all output before it is out.
process.stdout.write("", () => process.exit(code));
