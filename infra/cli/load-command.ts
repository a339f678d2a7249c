/**
 * The load command: a file of records into the store, resumable (load-state.ts), with what was
 * rejected listed by line.
 */
import { createReadStream, statSync } from "node:fs";
import type { Readable } from "node:stream";
import type { Command } from "commander";
import { KvError } from "../../protocol/errors.js";
import { systemClock, type Clock } from "../clock.js";
import type { CliContext } from "./context.js";
import { CommandFailed, exitOfError } from "./exit-codes.js";
import { displayOf, rateOf, type LoadDisplay } from "./load-progress.js";
import { LoadState, type LoadProgress } from "./load-state.js";
import { load, type LoadFigures, type LoadStore } from "./load.js";
import type { RecordForm } from "./loaded-record.js";
import { announceStdin, jsonOption, memberNames, ttlOption } from "./option-values.js";
import { readElements, type Place } from "./records-file.js";
import { openRecords } from "./records-input.js";
import { RejectedLines } from "./rejected-lines.js";
import { addStoreOptions, openStore } from "./store-access.js";
import { unreadableFile } from "./unreadable-file.js";

/** How far it got is written down so often at most. */
const STATE_EVERY_MS = 1_000;

interface LoadFlags {
  readonly key?: string;
  readonly path?: string;
  readonly prefix: string;
  readonly ttl?: string;
  readonly state?: string;
  readonly restart?: true;
  readonly json?: true;
}

export function registerLoadCommand(root: Command, context: CliContext): void {
  const command = root
    .command("load")
    .description("set the records of a file: NDJSON, or one JSON array; gzip is unpacked")
    .argument("<file>", '"-" = stdin, which cannot be resumed')
    .option("--key <field>", "each element is a value, and its member <field> the key, a.b deeper")
    .option("--path <path>", "read the array that stands there in the file, like features")
    .option("--prefix <text>", "put before each key", "")
    .addOption(ttlOption("time to live of records that name none"))
    .option("--state <file>", "where to remember how far it got (default: FILE.ringdex-load)")
    .option("--restart", "begin at the start, whatever is remembered")
    .addOption(jsonOption("print the figures as JSON"))
    .addHelpText("after", loadHelp);
  addStoreOptions(command).action(async (file: string, flags: LoadFlags) => {
    const source = sourceOf(file, context.stdin);
    const { db: store, url, names } = await openStore(context, command);
    if (file === "-") announceStdin(context, "records");
    const target = { store, url, storeName: names.store };
    await runLoad({ file, source, flags, target, context, clock: systemClock });
  });
}

const loadHelp = `
Without --key each element is a record as "ringdex export" writes it:
  {"key":"city.delhi","value":{"country":"IN"}}
"value_base64", "content_type" and "ttl" or "expires_at" may stand beside it.

A load that was stopped, by Ctrl-C or by a store that does not answer, goes on where it was when
the same command is given again. Rejected lines are listed on stderr, on a terminal the
first 10 ("2> rejected.txt" has all of them); the exit code is then 7.

Examples:
  ringdex load cities.ndjson --key id --prefix city.
  ringdex load places.geojson.gz --path features --key properties.id
  ringdex export > all.ndjson && ringdex load all.ndjson -s nats://other:4222
`;

export interface LoadSource {
  /** Undefined = stdin. */
  readonly known: { readonly fileBytes: number; readonly modifiedMs: number } | undefined;
  /** From an offset on; of stdin from where it is. */
  readonly open: (offset: number) => AsyncIterable<Uint8Array>;
}

/** The file, or stdin for "-". */
export function sourceOf(file: string, stdin: NodeJS.ReadableStream): LoadSource {
  if (file === "-") return { known: undefined, open: () => bytesOf(stdin as Readable) };
  let known;
  try {
    const { size: fileBytes, mtimeMs: modifiedMs } = statSync(file);
    known = { fileBytes, modifiedMs };
  } catch (cause) {
    throw unreadableFile(file, cause);
  }
  return { known, open: (offset) => bytesOfFile(file, offset) };
}

async function* bytesOfFile(
  file: string,
  start: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* bytesOf(createReadStream(file, { start }));
  } catch (cause) {
    throw unreadableFile(file, cause);
  }
}

async function* bytesOf(stream: Readable): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of stream) yield Buffer.from(chunk as Buffer | string);
}

export interface LoadRun {
  readonly file: string;
  readonly source: LoadSource;
  readonly flags: LoadFlags;
  readonly target: {
    readonly store: LoadStore;
    readonly url: string;
    readonly storeName: string;
  };
  readonly context: Pick<CliContext, "out" | "stderr" | "bar" | "exit" | "stopping">;
  readonly clock: Clock;
}

/** Loads from where an earlier run got to, to the end or to where it is stopped. */
export async function runLoad(run: LoadRun): Promise<void> {
  const { source, flags, target, context, clock } = run;
  const state = stateOf(run);
  if (flags.restart === true) state?.remove();
  const before = state?.read();
  const figures: LoadFigures = { loaded: 0, rejected: 0, expired: 0, ...before?.figures };
  if (before !== undefined) context.stderr(`${resumedLine(before)}\n`);
  const loadedBefore = figures.loaded;
  const input = await openRecords({
    file: run.file,
    keyName: flags.key === undefined ? "key" : (memberNames(flags.key)[0] ?? ""),
    hasPath: flags.path !== undefined,
    open: source.open,
    from: before?.place,
  });
  const path = flags.path === undefined ? undefined : memberNames(flags.path);
  const startMs = clock.elapsedMs();
  const fileBytes = input.isPacked ? undefined : source.known?.fileBytes;
  const display = displayOf({
    bar: context.bar,
    stderr: context.stderr,
    clock,
    fileBytes,
    figures,
  });
  const rejected = new RejectedLines(display, context.bar !== undefined);
  const keeper = new Keeper(state, figures, clock, display);
  const form: RecordForm = { keyField: flags.key, prefix: flags.prefix, ttl: flags.ttl };
  try {
    await load({
      store: target.store,
      elements: readElements(input.bytes, before?.place, path),
      form,
      now: () => clock.now(),
      figures,
      onRejected: (line, error) => rejected.tell(line, error),
      onPlace: (place) => {
        keeper.reached(place);
        display.at(place.bytes);
      },
      signal: context.stopping,
    });
  } catch (error) {
    keeper.save();
    throw stoppedError(error, figures, keeper.isKept, context.stopping);
  } finally {
    display.end();
  }
  state?.remove();
  const elapsedMs = clock.elapsedMs() - startMs;
  const rate = rateOf(figures.loaded - loadedBefore, elapsedMs);
  await context.out(flags.json === true ? figuresJson(figures, elapsedMs) : endLine(figures, rate));
  if (figures.rejected > 0) context.exit("partial");
  if (figures.loaded === 0 && figures.rejected > 0) context.stderr(`${nothingLoadedLine(flags)}\n`);
}

/** Undefined = it cannot be remembered how far the load gets; that has been said. */
function stateOf({ file, source, flags, target, context }: LoadRun): LoadState | undefined {
  if (source.known === undefined) return undefined;
  const state = new LoadState(flags.state ?? `${file}.ringdex-load`, {
    ...source.known,
    url: target.url,
    store: target.storeName,
    keyField: flags.key ?? null,
    path: flags.path ?? null,
    prefix: flags.prefix,
    ttl: flags.ttl ?? null,
  });
  const reason = state.reasonAgainst();
  if (reason === undefined) return state;
  const text = `cannot remember how far the load gets (${reason})`;
  if (flags.state !== undefined) {
    throw new CommandFailed("usage", `${text}; name another file with --state`);
  }
  context.stderr(`${text}: stopped, it would begin at the start again; --state names a file\n`);
  return undefined;
}

/** Writes down how far the load got: now and then, and when it stops. */
class Keeper {
  #place: Place | undefined;
  #savedMs: number;
  #hasFailed = false;

  constructor(
    private readonly state: LoadState | undefined,
    private readonly figures: LoadFigures,
    private readonly clock: Clock,
    private readonly display: Pick<LoadDisplay, "line">,
  ) {
    this.#savedMs = clock.elapsedMs();
  }

  reached(place: Place): void {
    this.#place = place;
    if (this.clock.elapsedMs() - this.#savedMs >= STATE_EVERY_MS) this.save();
  }

  /** True if the same command goes on where this one stops. */
  get isKept(): boolean {
    return this.state !== undefined && !this.#hasFailed;
  }

  save(): void {
    if (this.#place === undefined) return;
    this.#savedMs = this.clock.elapsedMs();
    try {
      this.state?.write({ place: this.#place, figures: this.figures });
      this.#hasFailed = false;
    } catch (error) {
      // The load itself does not need it. Said once until it works again.
      const why = error instanceof Error ? error.message : String(error);
      if (!this.#hasFailed) this.display.line(`cannot remember how far the load got (${why})`);
      this.#hasFailed = true;
    }
  }
}

function resumedLine({ place, figures }: LoadProgress): string {
  return `going on at line ${place.line}, after ${figures.loaded} loaded (--restart begins again)`;
}

function nothingLoadedLine({ key }: LoadFlags): string {
  return key === undefined
    ? "nothing was loaded: if these are values, name the member that is the key with --key FIELD"
    : `nothing was loaded: is ${JSON.stringify(key)} (--key) the member that is the key?`;
}

/** The same error, with what to do about the rest of the file. */
function stoppedError(
  error: unknown,
  figures: LoadFigures,
  isKept: boolean,
  stopping: AbortSignal,
): unknown {
  const again = isKept ? "; the same command goes on from there" : "";
  const where = `stopped after ${figures.loaded} loaded, ${figures.rejected} rejected${again}`;
  if (stopping.aborted) return new CommandFailed("stopped", where, { cause: error });
  if (error instanceof KvError || error instanceof CommandFailed) {
    return new CommandFailed(exitOfError(error), `${error.message}; ${where}`, { cause: error });
  }
  return error;
}

function endLine({ loaded, rejected, expired }: LoadFigures, rate: number): string {
  const others = expired > 0 ? `, ${expired} left out because their time was over` : "";
  return `loaded ${loaded}, rejected ${rejected}${others}; ${rate}/s\n`;
}

function figuresJson(figures: LoadFigures, elapsedMs: number): string {
  return `${JSON.stringify({ ...figures, elapsed_ms: Math.round(elapsedMs) })}\n`;
}
