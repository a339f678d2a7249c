/**
 * Shard applier: applies log messages to a store by the applier's core, in groups that the test
 * chooses, without the applier's loop.
 */
import { ApplierCore, type EntryOutcome } from "../../actors/shard/apply/applier-core.js";
import { readRows } from "../../actors/shard/apply/applier.js";
import { loadReplica } from "../../actors/shard/load.js";
import type { ReplicaState } from "../../actors/shard/state/replica-state.js";
import type { LogMessage } from "../../infra/log.js";
import type { Sequence } from "../../protocol/ids.js";
import type { Outcome, StoredRecord } from "../../protocol/operation.js";
import { positionOf } from "../../protocol/position.js";
import { decodeRecord } from "../../protocol/store/record.js";
import { recordKey } from "../../protocol/store/store-keys.js";
import { LOG_ID, POSITIONS } from "./log-writer.js";
import { Disk, type MemoryStore } from "./memory-store.js";

export class ShardApplier {
  /** Of every message applied, in order. */
  readonly results: EntryOutcome[] = [];
  /** Of the relay, if it has one. */
  relayFloor = 0 as Sequence;
  readonly #disk = new Disk();
  #store: MemoryStore;
  #state: ReplicaState | undefined;

  constructor(readonly positionCount = POSITIONS) {
    this.#store = this.#disk.open();
  }

  get store(): MemoryStore {
    return this.#store;
  }

  get state(): ReplicaState {
    if (this.#state === undefined) throw new Error("nothing was applied yet");
    return this.#state;
  }

  /** The process ends and starts again. */
  restart(): void {
    this.#disk.crash({ loseUnsynced: false });
    this.#store = this.#disk.open();
    this.#state = undefined;
  }

  /** Applies all messages, at most `groupMax` with one batch. Returns their results. */
  async apply(messages: readonly LogMessage[], groupMax = Infinity): Promise<EntryOutcome[]> {
    const state = (this.#state ??= await loadReplica(this.store, LOG_ID, this.positionCount));
    state.relayFloor = this.relayFloor;
    const core = new ApplierCore(state);
    const results: EntryOutcome[] = [];
    while (results.length < messages.length) {
      const needs = core.needsOf(messages.slice(results.length, results.length + groupMax));
      const batch = core.decide(needs, await readRows(this.store, needs));
      await this.store.write(batch.writes, { sync: false });
      batch.publish();
      results.push(...batch.entries);
    }
    this.results.push(...results);
    return results;
  }

  /** The outcomes of one message. */
  async outcomes(message: LogMessage): Promise<readonly Outcome[]> {
    const [result] = await this.apply([message]);
    return result?.outcomes ?? [];
  }

  async record(key: string): Promise<StoredRecord | undefined> {
    const position = positionOf(key, this.positionCount);
    const [row] = await this.store.getMany([recordKey(position, Buffer.from(key))]);
    return row === undefined ? undefined : decodeRecord(row);
  }

  /** The record's value, if it is JSON. */
  async json(key: string): Promise<unknown> {
    const record = await this.record(key);
    return record && (JSON.parse(Buffer.from(record.value).toString()) as unknown);
  }
}

/** An outcome in a few words, to be compared. */
export function shownOutcome(outcome: Outcome): string {
  if (!outcome.ok) {
    const { kind, details } = outcome.error;
    const shown = ["moved", "revision", "index"].flatMap((name) => {
      const value = details[name];
      if (value === undefined) return [];
      return value === true ? [name] : [`${name} ${value as number}`];
    });
    return [kind, ...shown].join(" ");
  }
  const { verb, revision, created, existed, number, expiresAt } = outcome.done;
  const words: (string | number)[] = [verb, revision];
  const creates = verb === "set" || verb === "patch" || verb === "incr";
  if (created && creates) words.push("created");
  if (existed && verb === "del") words.push("existed");
  if (number !== undefined) words.push(number);
  if (expiresAt !== 0 && verb !== "del" && verb !== "check") words.push("expires", expiresAt);
  return words.join(" ");
}
