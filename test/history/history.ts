/**
 * History: what clients asked of a store and what they were told, with times. The simulation and
 * the chaos runs both record one, and the same checkers read it.
 *
 * A row is one logical request: however often it was sent, it has one start, one end and one
 * outcome for each of its steps. A single operation is one step, a batch several, a query none.
 *
 * Times are milliseconds of any one clock that never goes back, the same for all clients. Two
 * events at one time count as concurrent, so a recorder takes its times from a Stopwatch.
 *
 * As a file: JSON, one row a line, in the order in which the requests ended.
 */

/** Verbs of one key. `check` has no effect and stands in batches only. */
export type StepVerb = "get" | "set" | "del" | "patch" | "incr" | "touch" | "check";

/** What was asked about one key. */
export interface Step {
  readonly verb: StepVerb;
  readonly key: string;
  /** set: the value. patch: the merge patch. JSON text for what is JSON. */
  readonly value?: string;
  /** incr: path of the number; absent = the value itself is the number. */
  readonly path?: string;
  /** incr: what is added. */
  readonly by?: number;
  /** Milliseconds. Absent: a set clears an expiry, all others keep it; `never` takes it away. */
  readonly ttl?: number | "never";
  /** Only if the key is at this revision; 0 = only if absent. */
  readonly ifRevision?: number;
  /** get: what it promises; absent = linearizable. */
  readonly level?: "linearizable" | "session" | "stale";
  /** get at level session: it was to see the position at this revision at least. */
  readonly minRevision?: number;
  readonly outcome: StepOutcome;
}

export type StepOutcome =
  /** A get that found something. */
  | { readonly kind: "value"; readonly value: string; readonly revision: number }
  /** `not-found`, of a get or a touch. */
  | { readonly kind: "absent" }
  | Written
  /** A condition was not met; the key was at this revision then, 0 = absent. */
  | { readonly kind: "conflict"; readonly revision: number }
  /** Not done, whatever the reason; tells nothing else about the key. */
  | { readonly kind: "refused"; readonly error: string }
  /** Not answered, or in doubt: done once, at some time after the start, or never. */
  | { readonly kind: "unknown"; readonly error?: string };

export interface Written {
  readonly kind: "written";
  /** Of the key afterwards; of a del, the one it took. 0 = it took none. check: what it saw. */
  readonly revision: number;
  /** set, patch: there was no record before. */
  readonly created?: boolean;
  /** del: there was a record before. */
  readonly existed?: boolean;
  /** incr: the number afterwards. */
  readonly number?: number;
  /** What was there before, if that was asked and told; null = nothing. */
  readonly previous?: string | null;
}

export type RowKind = "single" | "batch" | "atomic" | "find" | "count" | "keys";

export interface HistoryRow {
  readonly client: string;
  /** Of the client's requests. */
  readonly number: number;
  /** What named the request in the store; absent = it was sent at most once. */
  readonly requestId?: string;
  readonly kind: RowKind;
  /** In order. In a batch that is not atomic each stands alone. */
  readonly steps: readonly Step[];
  /** Of find, count and keys. */
  readonly query?: QueryStep;
  readonly invokedAt: number;
  /** Absent = never answered. */
  readonly returnedAt?: number;
}

/** One page of a find, a count, or one page of keys. */
export interface QueryStep {
  /** The filter, as it was sent. */
  readonly where?: object;
  readonly prefix?: string;
  readonly limit?: number;
  readonly level: "linearizable" | "stale";
  readonly partial: boolean;
  /** `<client>/<number>` of the request whose page this one continues. */
  readonly continues?: string;
  /** By shard: the last sequence of its log when the answer came. Known in the simulation. */
  readonly logEnds?: Readonly<Record<string, number>>;
  readonly outcome: QueryOutcome;
}

export interface FoundItem {
  readonly key: string;
  /** As JSON text; absent where values were not asked for. */
  readonly value?: string;
  readonly revision: number;
}

/** One shard's part of a certificate. */
export interface CertifiedPart {
  readonly shard: string;
  readonly epoch: number;
  readonly sequence: number;
  /** Ranges, as in "0-340" or "5". */
  readonly positions: readonly string[];
}

export type QueryOutcome =
  | {
      readonly kind: "answered";
      readonly items?: readonly FoundItem[];
      readonly keys?: readonly string[];
      readonly count?: number;
      readonly complete: boolean;
      /** There is a next page. */
      readonly more: boolean;
      readonly certificate?: readonly CertifiedPart[];
      /** What is not spoken for, as the answer has it; ranges as above. */
      readonly missing?: readonly string[];
    }
  | { readonly kind: "refused"; readonly error: string };

/** How a row is named in what the checkers say. */
export function nameOf({ client, number }: HistoryRow): string {
  return `${client}/${number}`;
}

/** Times that never repeat, from a clock that may: each is a little above the one before. */
export class Stopwatch {
  #last = -1;

  constructor(private readonly elapsedMs: () => number) {}

  now(): number {
    const ms = this.elapsedMs();
    this.#last = ms > this.#last ? ms : this.#last + 1e-6;
    return this.#last;
  }
}

export function formatHistory(rows: readonly HistoryRow[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join("");
}

/** Throws SyntaxError naming the line that is no row. */
export function parseHistory(text: string): HistoryRow[] {
  return text.split("\n").flatMap((line, index) => {
    if (line === "") return [];
    try {
      return [JSON.parse(line) as HistoryRow];
    } catch (cause) {
      throw new SyntaxError(`line ${index + 1} of the history is no JSON`, { cause });
    }
  });
}

/** One line for people: who, when, what, and what came of it. */
export function describeRow(row: HistoryRow): string {
  const from = row.invokedAt.toFixed(3);
  const to = row.returnedAt?.toFixed(3) ?? "never";
  const steps = row.steps.map(describeStep).join("; ");
  const asked = row.query === undefined ? steps : `${row.kind} ${JSON.stringify(row.query)}`;
  const kind = row.kind === "batch" || row.kind === "atomic" ? `${row.kind} ` : "";
  return `${nameOf(row)} [${from} … ${to}] ${kind}${asked}`;
}

export function describeStep(step: Step): string {
  const parts = [step.verb, step.key];
  if (step.value !== undefined) parts.push(step.value);
  if (step.by !== undefined) parts.push(`${step.path ?? ""}+${step.by}`);
  if (step.ttl !== undefined) parts.push(`ttl ${step.ttl}`);
  if (step.ifRevision !== undefined) parts.push(`if ${step.ifRevision}`);
  if (step.level !== undefined) parts.push(step.level);
  if (step.minRevision !== undefined) parts.push(`from ${step.minRevision}`);
  return `${parts.join(" ")} → ${describeOutcome(step.outcome)}`;
}

function describeOutcome(outcome: StepOutcome): string {
  switch (outcome.kind) {
    case "value":
      return `${outcome.value} at ${outcome.revision}`;
    case "absent":
      return "not found";
    case "written": {
      const { kind: _kind, revision, ...rest } = outcome;
      const more = Object.keys(rest).length === 0 ? "" : ` ${JSON.stringify(rest)}`;
      return `written at ${revision}${more}`;
    }
    case "conflict":
      return `conflict at ${outcome.revision}`;
    case "refused":
      return `refused (${outcome.error})`;
    case "unknown":
      return `unknown${outcome.error === undefined ? "" : ` (${outcome.error})`}`;
  }
}
