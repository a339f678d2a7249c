/**
 * Load processes: starts the processes of the load (load-program.ts), stops them and reads their
 * histories.
 */
import { fork, type ChildProcess } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { exitOf, type Exit } from "../../infra/nats-server/nats-server.js";
import { parseHistory, type HistoryRow } from "../history/history.js";
import type { LoadSettings } from "./load-program.js";

const program = fileURLToPath(new URL("./load-program.js", import.meta.url));
const STOP_LIMIT_MS = 90_000;

export interface LoadPlan extends Omit<LoadSettings, "file" | "clients"> {
  readonly processCount: number;
}

interface Running {
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  readonly file: string;
}

export class LoadProcesses {
  readonly #running: Running[] = [];
  readonly #hotAnswered = new Map<ChildProcess, number>();

  /** Operations on the hot keys that were answered so far, as far as we were told. */
  get hotAnswered(): number {
    return [...this.#hotAnswered.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Histories are written into `folder`. Resolves when all clients are connected. */
  async start(plan: LoadPlan, folder: string): Promise<void> {
    const { processCount, ...shared } = plan;
    const starts = Array.from({ length: processCount }, (_, index) => {
      const clients = shared.clientsAll.filter((_name, at) => at % processCount === index);
      const file = join(folder, `history-${index + 1}.jsonl`);
      // All probes in the last process.
      const probes = index === processCount - 1 ? shared.probes : {};
      return this.#start({ ...shared, clients, file, probes });
    });
    await Promise.all(starts);
  }

  /** Throws if one has ended: then there is no load, and nothing is shown. */
  check(): void {
    for (const { child, file } of this.#running) {
      if (child.exitCode === null && child.signalCode === null) continue;
      throw new Error(`the load process that writes ${file} has ended (${child.exitCode})`);
    }
  }

  /** Lets what is under way end; resolves with all rows, by the time of their start. */
  async stop(): Promise<HistoryRow[]> {
    const exits = this.#running.map(async ({ child, exited, file }) => {
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS);
      child.send("stop");
      const { code } = await exited;
      clearTimeout(timer);
      if (code !== 0) throw new Error(`the load process that writes ${file} ended with ${code}`);
    });
    await Promise.all(exits);
    const texts = await Promise.all(this.#running.map(({ file }) => readFile(file, "utf8")));
    return texts.flatMap((text) => parseHistory(text)).sort((a, b) => a.invokedAt - b.invokedAt);
  }

  /** At once. */
  kill(): void {
    for (const { child } of this.#running) child.kill("SIGKILL");
  }

  async #start(settings: LoadSettings): Promise<void> {
    const child = fork(program, [JSON.stringify(settings)], { execArgv: [] });
    const exited = exitOf(child);
    this.#running.push({ child, exited, file: settings.file });
    const ready = new Promise<void>((resolve) => {
      child.on("message", (message) => {
        if (message === "ready") resolve();
        else if (typeof message === "number") this.#hotAnswered.set(child, message);
      });
    });
    const ended = exited.then(({ code }) => {
      throw new Error(`a load process ended with ${code} before it was ready`);
    });
    ended.catch(() => undefined); // later ends are seen by check() and stop()
    await Promise.race([ready, ended]);
  }
}
