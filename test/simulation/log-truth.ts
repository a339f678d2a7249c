/**
 * Log truth: applies one shard's log to the model, and checks that the clients' answers agree. That
 * is stronger than linearizability, which sees only what clients saw: the log shows which writes of
 * unknown fate took effect, and where.
 */
import type { LogMessage } from "../../infra/log.js";
import type { Operation } from "../../protocol/operation.js";
import { describeRow, type HistoryRow, type Step } from "../history/history.js";
import { entryOf } from "./entry-of.js";
import { LogModel, type ModelChange, type ModelOutcome, type ModelRecord } from "./log-model.js";

/** A key as it could be read from some sequence on; several changes of one entry are one. */
export interface Version {
  readonly sequence: number;
  /** Undefined = absent. */
  readonly record: ModelRecord | undefined;
}

interface Done {
  readonly sequence: number;
  readonly outcome: ModelOutcome;
}

const neverWritten: readonly Version[] = [{ sequence: 0, record: undefined }];

export class LogTruth {
  /** By key, ascending. */
  readonly versions = new Map<string, Version[]>();
  /** By position: revision 1, 2, 3, … */
  readonly changes = new Map<number, ModelChange[]>();
  /** Those that changed something, in order. */
  readonly effective: Operation[] = [];
  /** By what names an operation: its executions and repeats. */
  readonly #done = new Map<string, Done[]>();
  /** By sequence. */
  readonly #times: number[] = [0];
  readonly #model = new LogModel();
  readonly sequenceLast: number;
  /** Operations of requests that were answered before, and get the same answer. */
  repeatCount = 0;

  constructor(entries: readonly LogMessage[]) {
    for (const { sequence, time, data } of entries) {
      const entry = entryOf(data);
      const { outcomes, changes } = this.#model.apply(entry, time);
      const operations = entry?.kind === "operations" ? entry.groups.flat() : [];
      for (const [index, outcome] of outcomes.entries()) {
        const operation = operations[index] as Operation;
        if (outcome.changed) this.effective.push(operation);
        if (outcome.repeated) this.repeatCount += 1;
        for (const name of namesOf(operation)) {
          const done = this.#done.get(name);
          if (done === undefined) this.#done.set(name, [{ sequence, outcome }]);
          else done.push({ sequence, outcome });
        }
      }
      this.#times[sequence] = this.#model.logTime;
      this.#noteChanges(sequence, changes);
    }
    this.sequenceLast = entries.at(-1)?.sequence ?? 0;
  }

  get records(): ReadonlyMap<string, ModelRecord> {
    return this.#model.records;
  }

  /** The key as a replica that has applied up to `sequence` may show it. */
  recordAt(key: string, sequence: number): ModelRecord | undefined {
    const versions = this.versions.get(key) ?? neverWritten;
    const version = versions.findLast((each) => each.sequence <= sequence);
    return this.#alive(version?.record, sequence);
  }

  /** Past its expiry by the log's time it counts as absent, though no entry has removed it yet. */
  #alive(record: ModelRecord | undefined, sequence: number): ModelRecord | undefined {
    if (record === undefined || record.expiresAt === 0) return record;
    return record.expiresAt <= (this.#times[sequence] ?? 0) ? undefined : record;
  }

  #noteChanges(sequence: number, changes: readonly ModelChange[]): void {
    for (const change of changes) {
      const { key, position, record } = change;
      const ofPosition = this.changes.get(position);
      if (ofPosition === undefined) this.changes.set(position, [change]);
      else ofPosition.push(change);
      let versions = this.versions.get(key);
      if (versions === undefined) this.versions.set(key, (versions = [...neverWritten]));
      if (versions.at(-1)?.sequence === sequence) versions.pop();
      versions.push({ sequence, record });
    }
  }

  /** Where the acknowledged write stands; undefined = it changed nothing, or is not to be told. */
  sequenceOf(row: HistoryRow, step: Step): number | undefined {
    if (step.outcome.kind !== "written") return undefined;
    return this.#doneBy(row, step).find(({ outcome }) => !outcome.repeated)?.sequence;
  }

  /** Undefined: it has no name that could be looked for. */
  #doneBy(row: HistoryRow, step: Step): readonly Done[] {
    return candidates(row, step).flatMap((name) => this.#done.get(name) ?? []);
  }

  /** Of a write that may have been done; undefined = it changed nothing. */
  revisionOf(row: HistoryRow, step: Step): number | undefined {
    return this.#doneBy(row, step).find(({ outcome }) => outcome.changed)?.outcome.revision;
  }

  /** Each request once, each acknowledged one present, none present that was refused. */
  *problemsOfWrite(row: HistoryRow, step: Step): Generator<string> {
    if (candidates(row, step).length === 0) return;
    const all = this.#doneBy(row, step);
    const what = (): string => `${step.verb} ${step.key} of ${describeRow(row)}`;
    const takenUp = all.filter(({ outcome }) => outcome.changed);
    if (takenUp.length > 1) yield `took effect ${takenUp.length} times: ${what()}`;
    const ok = all.find(({ outcome }) => outcome.ok)?.outcome;
    const { outcome: told } = step;
    if (told.kind === "written") {
      if (ok === undefined) yield `acknowledged and not in the log: ${what()}`;
      else if (ok.revision !== told.revision) yield `the log says ${ok.revision}: ${what()}`;
      else if (told.created !== undefined && told.created !== ok.created) {
        yield `the log says created ${ok.created}: ${what()}`;
      }
    } else if (told.kind !== "unknown" && takenUp.length > 0) {
      yield `not acknowledged, and in the log: ${what()}`;
    }
  }

  /** A state between the last write acknowledged before (`least`) and the log's end after it. */
  *problemsOfRead(row: HistoryRow, step: Step, least: number): Generator<string> {
    const { key, outcome, level = "linearizable" } = step;
    if (outcome.kind !== "value" && outcome.kind !== "absent") return;
    const from = level === "linearizable" ? least : 0;
    const wanted = outcome.kind === "value" ? outcome : undefined;
    const versions = this.versions.get(key) ?? neverWritten;
    const at = versions.findLastIndex(({ sequence }) => sequence <= from);
    const isSeen = versions.slice(Math.max(at, 0)).some(({ record }, index, seen) => {
      if (wanted !== undefined) {
        return record?.revision === wanted.revision && textOf(record) === wanted.value;
      }
      if (record === undefined) return true;
      // Until the next version: may log time have passed its expiry? What the next entry does it
      // does after what is due by its time has gone: in between nothing was there.
      const next = seen[index + 1]?.sequence ?? this.sequenceLast;
      return this.#alive(record, Math.max(next, from)) === undefined;
    });
    if (isSeen) return;
    const shown = versions.slice(Math.max(at, 0)).map(({ sequence, record }) => {
      if (record === undefined) return `absent from ${sequence}`;
      const until = record.expiresAt === 0 ? "" : ` until ${record.expiresAt}`;
      return `${record.revision} from ${sequence} at ${this.#times[sequence]}${until}`;
    });
    const what = `${key} (${shown.join(", ")}, sought from ${from})`;
    yield `read what was not there: ${what}: ${describeRow(row)}`;
  }
}

export function textOf({ value }: ModelRecord): string {
  return Buffer.from(value, "latin1").toString();
}

/** The names of an operation in the log, by which a step finds it. */
function namesOf(operation: Operation): string[] {
  const { request } = operation;
  const names = request === undefined ? [] : [`${request.id} ${request.index}`];
  if (operation.verb !== "set" && operation.verb !== "patch") return names;
  const mark = markOf(operation.verb, Buffer.from(operation.value).toString());
  return mark === undefined ? names : [...names, mark];
}

/** The name by which a step of the history is found: its request id, or the mark in its value. */
function candidates({ kind, requestId, steps }: HistoryRow, step: Step): string[] {
  if (requestId !== undefined) {
    const index = steps.indexOf(step);
    return kind === "single"
      ? [`${requestId} 0`]
      : [`${requestId}/${index} 0`, `${requestId} ${index}`];
  }
  const mark = markOf(step.verb, step.value);
  return mark === undefined ? [] : [mark];
}

/** Values tell who wrote them (workload.ts). */
function markOf(verb: string, json: string | undefined): string | undefined {
  if ((verb !== "set" && verb !== "patch") || json === undefined) return undefined;
  const { by, n, patched } = JSON.parse(json) as { by?: string; n?: number; patched?: string };
  return verb === "set" ? by && `set by ${by} ${n}` : patched && `patch by ${patched}`;
}
