/**
 * Load: sets the records of a file, some requests at a time, in the file's order as far as it
 * shows.
 *
 * Nothing is lost by stopping anywhere: sets are idempotent, and what is remembered as done ends
 * before the first record that is not. What the store refuses for good is listed and passed over;
 * what says "try again" (the client has, for seconds) stops the load, which can be resumed.
 *
 * Invariants
 *   1. Every record before `place` is set, or was rejected and listed.
 *   2. Of two records with one key the later one stays: they are never under way at once.
 */
import { KvError } from "../../protocol/errors.js";
import type { TimeMs } from "../../protocol/ids.js";
import { BatchError } from "../client/client-errors.js";
import type { SetManyEntry, SetManyOptions } from "../client/options.js";
import { recordOf, type RecordForm } from "./loaded-record.js";
import { ELEMENT_BYTES_MAX, type FileElement, type Place } from "./records-file.js";

/** Records of one call of setMany, which makes one request per shard of them. */
const CHUNK_RECORDS_MAX = 1_000;
const CHUNK_BYTES_MAX = 1_024 * 1_024;
/** Calls under way at once. */
const CHUNKS_UNDER_WAY_MAX = 4;

export interface LoadStore {
  setMany(entries: Iterable<SetManyEntry<unknown>>, options?: SetManyOptions): Promise<unknown>;
}

export interface LoadFigures {
  loaded: number;
  rejected: number;
  /** Left out because their time was over. */
  expired: number;
}

export interface LoadParts {
  readonly store: LoadStore;
  readonly elements: AsyncIterable<readonly FileElement[]>;
  readonly form: RecordForm;
  readonly now: () => TimeMs;
  /** Counted up as it goes; begins with what an earlier run has done. */
  readonly figures: LoadFigures;
  readonly onRejected: (line: number, error: KvError) => void;
  /** All before `place` is done. */
  readonly onPlace: (place: Place) => void;
  readonly signal: AbortSignal;
}

interface Chunk {
  readonly entries: SetManyEntry<unknown>[];
  readonly lines: number[];
  readonly keys: Set<string>;
  readonly rejects: (readonly [line: number, error: KvError])[];
  bytes: number;
  expired: number;
  end: Place | undefined;
}

/** What came of a chunk: the errors of those refused, by index; or what stopped it. */
type ChunkOutcome =
  { readonly refused: ReadonlyMap<number, KvError> } | { readonly failure: unknown };

interface UnderWay {
  readonly chunk: Chunk;
  readonly outcome: Promise<ChunkOutcome>;
}

/** Rejects with what stopped it; all that was done before has been told by then. */
export async function load(parts: LoadParts): Promise<void> {
  await new Loading(parts).run();
}

class Loading {
  /** In the file's order. */
  readonly #underWay: UnderWay[] = [];
  #chunk = newChunk();
  #hasFailed = false;

  constructor(private readonly parts: LoadParts) {}

  async run(): Promise<void> {
    try {
      for await (const elements of this.parts.elements) {
        for (const element of elements) await this.#take(element);
      }
    } catch (error) {
      // A file that breaks off is loaded up to there; of a store that fails no more is asked, but
      // what is under way may be done yet.
      if (this.#hasFailed) await Promise.all(this.#underWay.map(({ outcome }) => outcome));
      else await this.#finish();
      throw error;
    }
    await this.#finish();
  }

  async #finish(): Promise<void> {
    await this.#send();
    await this.#settle(0);
  }

  async #take(element: FileElement): Promise<void> {
    this.parts.signal.throwIfAborted();
    const chunk = this.#chunk;
    try {
      const record = this.#read(element);
      if (record === undefined) chunk.expired += 1;
      else {
        chunk.entries.push(record);
        chunk.lines.push(element.line);
        chunk.keys.add(record.key);
        chunk.bytes += record.value.length;
      }
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      chunk.rejects.push([element.line, error]);
    }
    chunk.end = element.end;
    const count = chunk.entries.length + chunk.rejects.length + chunk.expired;
    if (count >= CHUNK_RECORDS_MAX || chunk.bytes >= CHUNK_BYTES_MAX) await this.#send();
  }

  #read({ source }: FileElement): ReturnType<typeof recordOf> {
    if (source !== undefined) return recordOf(source, this.parts.form, this.parts.now());
    const text = `longer than ${ELEMENT_BYTES_MAX} bytes`;
    throw new KvError("too-large", text, { limit: ELEMENT_BYTES_MAX });
  }

  async #send(): Promise<void> {
    const chunk = this.#chunk;
    if (chunk.end === undefined) return;
    this.#chunk = newChunk();
    // Invariant 2.
    const isRepeated = this.#underWay.some(({ chunk: { keys } }) => haveCommon(keys, chunk.keys));
    await this.#settle(isRepeated ? 0 : CHUNKS_UNDER_WAY_MAX - 1);
    this.#underWay.push({ chunk, outcome: outcomeOf(this.parts, chunk.entries) });
  }

  /** Waits until no more than `most` chunks are under way, the earliest first. */
  async #settle(most: number): Promise<void> {
    while (this.#underWay.length > most) {
      const { chunk, outcome } = this.#underWay[0]!;
      const came = await outcome;
      // It stays the first, so that by invariant 1 no later one is taken for done.
      if ("failure" in came) {
        this.#hasFailed = true;
        throw came.failure;
      }
      this.#underWay.shift();
      this.#done(chunk, came.refused);
    }
  }

  #done(chunk: Chunk, refused: ReadonlyMap<number, KvError>): void {
    const { figures, onRejected, onPlace } = this.parts;
    const fromStore = [...refused].map(
      ([index, error]) => [chunk.lines[index] ?? 0, error] as const,
    );
    const rejects = [...chunk.rejects, ...fromStore].toSorted(([a], [b]) => a - b);
    for (const [line, error] of rejects) onRejected(line, error);
    figures.loaded += chunk.entries.length - refused.size;
    figures.rejected += rejects.length;
    figures.expired += chunk.expired;
    if (chunk.end !== undefined) onPlace(chunk.end);
  }
}

async function outcomeOf(
  { store, signal }: LoadParts,
  entries: readonly SetManyEntry<unknown>[],
): Promise<ChunkOutcome> {
  const refused = new Map<number, KvError>();
  if (entries.length === 0) return { refused };
  try {
    await store.setMany(entries, { signal });
  } catch (error) {
    if (!(error instanceof BatchError)) return { failure: error };
    for (const [index, outcome] of error.outcomes.entries()) {
      if (outcome.ok) continue;
      if (outcome.error.isUndecided) return { failure: outcome.error };
      refused.set(index, outcome.error);
    }
  }
  return { refused };
}

function newChunk(): Chunk {
  const entries: SetManyEntry<unknown>[] = [];
  const lines: number[] = [];
  const keys = new Set<string>();
  return { entries, lines, keys, rejects: [], bytes: 0, expired: 0, end: undefined };
}

function haveCommon(some: ReadonlySet<string>, others: ReadonlySet<string>): boolean {
  for (const key of others) if (some.has(key)) return true;
  return false;
}
