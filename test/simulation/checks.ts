/**
 * Checks of a simulated run: the log is worked through by a simple model, and what clients were
 * told and what the stores hold is compared with that.
 */
import { decodeEntry, isEntry } from "../../protocol/entry.js";
import type { StoredRecord } from "../../protocol/operation.js";
import { limits, POSITIONS } from "../support/log-writer.js";
import type { MemoryStream } from "../support/memory-log.js";
import { ShardModel, type ModelOutcome } from "../support/shard-model.js";
import { identityOf, type ReadHistory, type WriteHistory } from "./client.js";

interface Done {
  readonly sequence: number;
  readonly outcome: ModelOutcome;
}

interface Version {
  readonly sequence: number;
  readonly revision: number;
  readonly expiresAt: number;
}

/** What the log says, entry by entry. */
export class LogTruth {
  /** By request id: outcomes that are not repeats. */
  readonly #done = new Map<string, Done[]>();
  /** By key: its states in the order of the log. */
  readonly #versions = new Map<string, Version[]>();
  readonly #times: number[] = [0];
  readonly #model = new ShardModel(POSITIONS, limits.valueBytesMax);

  constructor(stream: MemoryStream) {
    for (const { sequence, time, data } of stream.entries) {
      const decoded = decodeEntry(data);
      const entry = isEntry(decoded) ? decoded : undefined;
      const outcomes = this.#model.apply(entry, time) ?? [];
      const operations = entry?.kind === "operations" ? entry.groups.flat() : [];
      for (const [index, outcome] of outcomes.entries()) {
        const operation = operations[index];
        const id = operation && identityOf(operation);
        if (id === undefined || outcome.repeated) continue;
        this.#done.set(id, [...(this.#done.get(id) ?? []), { sequence, outcome }]);
      }
      this.#times[sequence] = this.#model.logTime;
      this.#noteVersions(sequence);
    }
  }

  /** Several writes of one entry to one key count as the last: the others could not be read. */
  #noteVersions(sequence: number): void {
    const { records } = this.#model;
    for (const key of new Set([...this.#versions.keys(), ...records.keys()])) {
      const versions = this.#versions.get(key) ?? [{ sequence: 0, revision: 0, expiresAt: 0 }];
      this.#versions.set(key, versions);
      const { revision = 0, expiresAt = 0 } = records.get(key) ?? {};
      if (versions.at(-1)?.revision === revision) continue;
      versions.push({ sequence, revision, expiresAt });
    }
  }

  /** Each request once, each acknowledged one present, none present that was not written. */
  *problemsOfWrites(writes: readonly WriteHistory[]): Generator<string> {
    for (const { id, result, isKnown, operation } of writes) {
      const all = this.#done.get(id) ?? [];
      const what = `${operation.verb} ${operation.key} ${id}`;
      const takenUp = all.filter(({ outcome }) => outcome.changed);
      if (takenUp.length > 1) yield `${what} took effect ${takenUp.length} times`;
      const first = all[0]?.outcome;
      if (result?.kind === "written") {
        const { revision } = result.done;
        if (first?.ok !== true) yield `${what} was acknowledged and is not in the log`;
        else if (first.revision !== revision) {
          yield `${what} was told revision ${revision}, the log says ${first.revision}`;
        }
      } else if (isKnown && takenUp.length > 0) {
        yield `${what} was told that it was not written, and it was`;
      } else if (result?.kind === "refused" && first?.ok === true && isKnown) {
        yield `${what} was refused (${result.error.kind}) and done`;
      }
    }
  }

  /** Each read saw a state between the last write acknowledged before it, and its answer. */
  *problemsOfReads(
    reads: readonly ReadHistory[],
    writes: readonly WriteHistory[],
  ): Generator<string> {
    const acknowledged = writes.flatMap(({ id, result, endedAtMs }) => {
      const sequence = this.#done.get(id)?.[0]?.sequence;
      return result?.kind === "written" && sequence !== undefined ? [{ sequence, endedAtMs }] : [];
    });
    for (const { key, startedAtMs, revision, sequenceMax } of reads) {
      const before = acknowledged.filter(({ endedAtMs }) => endedAtMs < startedAtMs);
      const least = Math.max(0, ...before.map(({ sequence }) => sequence));
      const versions = this.#versions.get(key) ?? [];
      const at = versions.findLastIndex(({ sequence }) => sequence <= least);
      const seen = versions.filter(({ sequence }, index) => {
        return index >= at && sequence <= sequenceMax;
      });
      const expired = seen.some(({ expiresAt }) => {
        return expiresAt !== 0 && expiresAt <= (this.#times[sequenceMax] ?? 0);
      });
      const allowed = seen.map((version) => version.revision);
      if (expired || versions.length === 0) allowed.push(0);
      if (allowed.includes(revision)) continue;
      yield `get ${key} at ${startedAtMs} saw revision ${revision}, it was ${allowed.join(" or ")}`;
    }
  }

  *problemsOfRecords(node: string, records: ReadonlyMap<string, StoredRecord>): Generator<string> {
    const wanted = this.#model.records;
    for (const key of new Set([...records.keys(), ...wanted.keys()])) {
      const record = records.get(key);
      const value = record && Buffer.from(record.value).toString("latin1");
      const found = JSON.stringify(record && { ...record, value }, memberNames);
      const expected = JSON.stringify(wanted.get(key), memberNames);
      if (found !== expected) yield `${node} has ${key} as ${found}, the log says ${expected}`;
    }
  }
}

/** In this order, whatever the objects'. */
const memberNames = ["revision", "updatedAt", "expiresAt", "contentType", "value"];
