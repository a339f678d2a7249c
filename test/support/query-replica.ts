/**
 * QueryReplica: a replica's state as an applier would leave it, in memory, for tests of queries.
 *
 * Tests put and remove records directly, each in a batch of its own, with the index rows that
 * belong to them; `ask` sends one message through a running Query.
 */
import { attributesOfRecord } from "../../actors/shard/query/query-scan.js";
import { Query } from "../../actors/shard/query/query.js";
import { Applied } from "../../actors/shard/state/applied.js";
import { Ownership } from "../../actors/shard/state/ownership.js";
import { PositionTable } from "../../actors/shard/state/position-table.js";
import type { Logger } from "../../infra/logger.js";
import type { Store, StoreWrite } from "../../infra/store.js";
import type { Position, Revision, Sequence, ShardId, TimeMs } from "../../protocol/ids.js";
import type { ContentType, StoredRecord } from "../../protocol/operation.js";
import { positionOf } from "../../protocol/position.js";
import type { QueryRequest } from "../../protocol/query/messages.js";
import { keyRowKey } from "../../protocol/store/key-rows.js";
import { encodeRecord } from "../../protocol/store/record.js";
import { indexKeysOf, recordKey } from "../../protocol/store/store-keys.js";
import { encodeValue, type Plain } from "../../protocol/value/content.js";
import { ManualClock } from "./manual-clock.js";
import { Disk } from "./memory-store.js";

const silent: Logger = { error() {}, info() {}, debug() {}, close: () => Promise.resolve() };

export interface PutOptions {
  readonly contentType?: ContentType;
  readonly expiresAt?: number;
}

export class QueryReplica {
  readonly clock = new ManualClock();
  readonly applied: Applied;
  readonly ownership: Ownership;
  readonly table: PositionTable;
  readonly records = new Map<string, StoredRecord>();
  /** Paths that have no index rows. */
  excluded: readonly string[] = [];
  /** Called between the reading of index rows and that of records. */
  beforeGetMany: (() => Promise<void>) | undefined;
  barrierCount = 0;
  barrier: () => Promise<void> = async () => {};
  readonly #store: Store;

  constructor(
    readonly positionCount: number,
    owned: readonly number[],
  ) {
    const store = new Disk().open();
    this.#store = store;
    this.ownership = new Ownership(positionCount);
    for (const position of owned) this.ownership.set(position as Position, "owned", 1);
    this.table = new PositionTable(positionCount);
    const watched: Store = {
      getMany: async (keys) => {
        const hook = this.beforeGetMany;
        this.beforeGetMany = undefined;
        await hook?.();
        return store.getMany(keys);
      },
      write: (batch, options) => store.write(batch, options),
      iterate: (range) => store.iterate(range),
      bytes: () => store.bytes(),
      close: () => store.close(),
    };
    this.applied = new Applied(this.ownership, this.table, watched, this.clock);
  }

  async put(key: string, value: Plain | Uint8Array, options: PutOptions = {}): Promise<void> {
    const contentType = options.contentType ?? "application/json";
    const bytes = value instanceof Uint8Array ? value : encodeValue(value, contentType);
    const position = positionOf(key, this.positionCount);
    const record: StoredRecord = {
      revision: (this.table.revision(position) + 1) as Revision,
      updatedAt: this.applied.appliedLogTime,
      expiresAt: (options.expiresAt ?? 0) as TimeMs,
      contentType,
      value: bytes,
    };
    await this.#write(key, record);
    if (record.expiresAt !== 0) this.table.expiryAdded(position, record.expiresAt);
  }

  async del(key: string): Promise<void> {
    await this.#write(key, undefined);
  }

  /** Log time advances without a change. */
  async at(logTime: number): Promise<void> {
    await this.#commit([], logTime as TimeMs);
  }

  /** The actor, which does not run yet. */
  query(): Query {
    return new Query({
      shard: "s1" as ShardId,
      applied: this.applied,
      indexPolicy: () => ({ excluded: this.excluded }),
      barrier: () => {
        this.barrierCount += 1;
        return this.barrier();
      },
      clock: this.clock,
      logger: silent,
    });
  }

  /** One query through the actor; its reply's bytes. */
  async ask(verb: QueryRequest["verb"], payload: Uint8Array): Promise<Uint8Array> {
    const query = this.query();
    const running = query.run();
    const replied = new Promise<Uint8Array>((resolve, reject) => {
      query.offer(verb, payload, resolve);
      running.catch(reject);
    });
    const reply = await this.clock.resolve(replied);
    query.close();
    await this.clock.resolve(running);
    if (!query.isIdle) throw new Error("a query that was answered counts as unanswered");
    return reply;
  }

  async #write(key: string, record: StoredRecord | undefined): Promise<void> {
    const keyUtf8 = Buffer.from(key);
    const position = positionOf(key, this.positionCount);
    const before = this.records.get(key);
    const batch: StoreWrite[] = [];
    for (const row of before ? this.#rows(keyUtf8, before) : []) {
      batch.push({ type: "del", key: row });
    }
    const storeKey = recordKey(position, keyUtf8);
    if (record === undefined) {
      batch.push({ type: "del", key: storeKey });
      this.records.delete(key);
    } else {
      batch.push({ type: "put", key: storeKey, value: encodeRecord(record) });
      for (const row of this.#rows(keyUtf8, record)) {
        batch.push({ type: "put", key: row, value: new Uint8Array(0) });
      }
      this.records.set(key, record);
    }
    await this.#commit(batch, this.applied.appliedLogTime);
    const revision = (this.table.revision(position) + 1) as Revision;
    this.table.setRevision(position, revision);
  }

  async #commit(batch: readonly StoreWrite[], logTime: TimeMs): Promise<void> {
    this.applied.batchStarts();
    await this.#store.write(batch, { sync: false });
    this.applied.batchWritten((this.applied.appliedSequence + 1) as Sequence, logTime);
  }

  #rows(keyUtf8: Buffer, record: StoredRecord): Buffer[] {
    const isExcluded = (path: string): boolean =>
      this.excluded.some((each) => path === each || path.startsWith(`${each}.`));
    const attributes = attributesOfRecord(record).filter(({ path }) => !isExcluded(path));
    return [keyRowKey(keyUtf8), ...indexKeysOf(attributes, keyUtf8)];
  }
}
