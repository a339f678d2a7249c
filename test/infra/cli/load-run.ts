/**
 * A run of `load` in a test: a file in a folder of its own, and a store that remembers and refuses.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { ExitName } from "../../../infra/cli/exit-codes.js";
import { runLoad, sourceOf, type LoadRun } from "../../../infra/cli/load-command.js";
import { BatchError } from "../../../infra/client/client-errors.js";
import type { Outcome, SetManyEntry } from "../../../infra/client/options.js";
import { systemClock } from "../../../infra/clock.js";
import { KvError } from "../../../protocol/errors.js";

/** Folder, file and store are new for each test. */
export interface Load {
  readonly folder: string;
  readonly file: string;
  readonly store: FakeStore;
  /** What was written on stderr, on stdout (by the last run), and how it ended. */
  errors: string;
  readonly output: string;
  readonly exit: ExitName;
  readonly write: (content: readonly string[] | string) => void;
  readonly start: (flags?: object, stopping?: AbortSignal) => Promise<void>;
  readonly runOf: (flags: object, stopping?: AbortSignal) => LoadRun;
}

/** To be called in a `describe`. */
export function useLoad(): Load {
  const load = { write, start, runOf } as { -readonly [Name in keyof Load]: Load[Name] };
  beforeEach(() => {
    load.folder = mkdtempSync(join(tmpdir(), "ringdex-load-"));
    load.file = join(load.folder, "records.ndjson");
    load.store = new FakeStore();
    [load.errors, load.output, load.exit] = ["", "", "ok"];
  });
  afterEach(() => rmSync(load.folder, { recursive: true }));

  function write(content: readonly string[] | string): void {
    writeFileSync(load.file, typeof content === "string" ? content : `${content.join("\n")}\n`);
  }

  async function start(flags: object = {}, stopping?: AbortSignal): Promise<void> {
    load.output = "";
    await runLoad(runOf(flags, stopping));
  }

  function runOf(flags: object, stopping = new AbortController().signal): LoadRun {
    const context = {
      out: (text: string | Uint8Array) => {
        load.output += String(text);
        return Promise.resolve();
      },
      stderr: (text: string) => void (load.errors += text),
      bar: undefined,
      exit: (name: ExitName) => void (load.exit = name),
      stopping,
    };
    const target = { store: load.store, url: "nats://fake", storeName: "kv" };
    const source = sourceOf(load.file, Readable.from([]));
    return {
      file: load.file,
      source,
      flags: { key: "id", prefix: "", ...flags },
      target,
      context,
      clock: systemClock,
    };
  }

  return load;
}

export class FakeStore {
  readonly values = new Map<string, string>();
  refuse: (key: string) => KvError | undefined = () => undefined;
  fail: (key: string) => boolean = () => false;
  pauseOf: (call: number) => number = () => 0;
  underWayMost = 0;
  keysAsked = 0;
  #underWay = 0;
  #calls = 0;

  async setMany(entries: Iterable<SetManyEntry<unknown>>): Promise<void> {
    const list = [...entries];
    this.#underWay += 1;
    this.underWayMost = Math.max(this.underWayMost, this.#underWay);
    this.keysAsked += list.length;
    const pauseMs = this.pauseOf(this.#calls++);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    this.#underWay -= 1;
    const outcomes = list.map(({ key, value }): Outcome<undefined> => {
      const unavailable = this.fail(key) ? new KvError("unavailable", "nobody there") : undefined;
      const error = unavailable ?? this.refuse(key);
      if (error !== undefined) return { ok: false, error };
      this.values.set(key, Buffer.from(value as Uint8Array).toString());
      return { ok: true, result: undefined };
    });
    const failed = outcomes.find((outcome) => !outcome.ok);
    if (failed?.ok === false) throw new BatchError(outcomes, failed.error);
  }
}

export function recordsOf(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `{"id":"k${index}","n":${index}}`);
}
