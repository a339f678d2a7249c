/**
 * Reader: answers a replica's gets.
 *
 * Mailbox     gets, taken in batches: all that has arrived
 * State       none of its own; reads the replica's store
 * Decides in  reader-core.ts (no I/O); this file only carries its decisions out
 * Lifecycle   run until closed
 * On a bug    InvariantError or a failed read leaves run(); the replica is started again
 */
import type { Clock } from "../../infra/clock.js";
import type { Store } from "../../infra/store.js";
import { KvError } from "../../protocol/errors.js";
import { SESSION_WAIT_MS } from "../../protocol/limits.js";
import { decodeRecord } from "../../protocol/record.js";
import type { Result } from "../../protocol/reply.js";
import type { GetRequest } from "../../protocol/request.js";
import { recordKey } from "../../protocol/store-keys.js";
import type { Applied } from "./applied.js";
import { Mailbox } from "./mailbox.js";
import { isDoubtful, needsTail, resultOf } from "./reader-core.js";

export interface PendingGet {
  readonly request: GetRequest;
  readonly settle: (result: Result) => void;
}

export class Reader {
  readonly #mailbox: Mailbox<PendingGet>;
  #answering = 0;

  constructor(
    private readonly applied: Applied,
    private readonly store: Store,
    /** Resolves when all that was acknowledged before the call has been applied here. */
    private readonly barrier: () => Promise<void>,
    /** Resolves when an entry of ours, proposed after the call, has been applied. */
    private readonly moveTime: () => Promise<void>,
    private readonly clock: Clock,
  ) {
    this.#mailbox = new Mailbox(clock);
  }

  /** True if no get is unanswered. */
  get isIdle(): boolean {
    return this.#answering === 0;
  }

  /** Throws KvError `overloaded` or `unavailable`. */
  offer(get: PendingGet): void {
    const { request, settle } = get;
    const settleOnce = (result: Result): void => {
      this.#answering -= 1;
      settle(result);
    };
    this.#mailbox.offer({ request, settle: settleOnce });
    this.#answering += 1;
  }

  async run(): Promise<void> {
    // One batch at a time: what arrives while we ask for the log's end is the next batch, so a
    // busy reader asks less often, not more.
    for await (const batch of this.#mailbox.batches()) await this.#answer(batch);
  }

  close(): void {
    for (const { settle } of this.#mailbox.close()) settle(refused(ending()));
  }

  async #answer(batch: readonly PendingGet[]): Promise<void> {
    const ready: PendingGet[] = [];
    for (const get of batch) {
      // Waits of single gets must not hold up the others.
      if (get.request.level === "session") void this.#answerSession(get);
      else ready.push(get);
    }
    if (needsTail(ready)) {
      const error = await this.#reachedEnd();
      if (error !== undefined) return settleAll(ready, error);
    }
    await this.#read(ready);
  }

  /** The end is asked after the batch was taken: a write acknowledged before any of these gets
   * was sent lies at or before it. */
  async #reachedEnd(): Promise<KvError | undefined> {
    try {
      await this.barrier();
      return undefined;
    } catch (error) {
      if (error instanceof KvError) return error;
      throw error;
    }
  }

  async #answerSession(get: PendingGet): Promise<void> {
    const { position, minRevision } = get.request;
    try {
      if (minRevision !== undefined) {
        await this.applied.reachedRevision(position, minRevision, SESSION_WAIT_MS);
      }
      await this.#read([get]);
    } catch (error) {
      const own = error instanceof KvError;
      get.settle(refused(own ? error : new KvError("internal", "reading failed", {}, { cause: error })));
    }
  }

  async #read(batch: readonly PendingGet[]): Promise<void> {
    if (batch.length === 0) return;
    const { ownership } = this.applied;
    const generations = batch.map(({ request }) => ownership.generation(request.position));
    const keys = batch.map(({ request }) => recordKey(request.position, Buffer.from(request.key)));
    const rows = await this.store.getMany(keys);
    const doubtful: PendingGet[] = [];
    for (const [index, get] of batch.entries()) {
      const { request } = get;
      // Ownership is looked at last: a position that left while we read has taken its records
      // along, and "not found" would be a lie.
      if (!ownership.stillOwns(request.position, generations[index] as number)) {
        get.settle(refused(movedAway(request)));
        continue;
      }
      const row = rows[index];
      const record = row === undefined ? undefined : decodeRecord(row);
      const { logTime } = this.applied;
      if (request.level === "linearizable" && isDoubtful(record, logTime, this.clock.now())) {
        doubtful.push(get);
      } else {
        get.settle(resultOf(request, record, logTime));
      }
    }
    if (doubtful.length > 0) void this.#readAfterTimeMoved(doubtful);
  }

  /** Records due by our clock but not by the log's: the log decides (rule L6). */
  async #readAfterTimeMoved(batch: readonly PendingGet[]): Promise<void> {
    try {
      await this.moveTime();
      const keys = batch.map(({ request }) => recordKey(request.position, Buffer.from(request.key)));
      const rows = await this.store.getMany(keys);
      for (const [index, { request, settle }] of batch.entries()) {
        const row = rows[index];
        const record = row === undefined ? undefined : decodeRecord(row);
        settle(resultOf(request, record, this.applied.logTime));
      }
    } catch (error) {
      const own = error instanceof KvError;
      settleAll(batch, own ? error : new KvError("internal", "reading failed", {}, { cause: error }));
    }
  }
}

function settleAll(batch: readonly PendingGet[], error: KvError): void {
  for (const { settle } of batch) settle(refused(error));
}

function refused(error: KvError): Result {
  return { kind: "refused", error };
}

function ending(): KvError {
  return new KvError("unavailable", "the replica is ending; send it again");
}

function movedAway({ position }: GetRequest): KvError {
  const text = `position ${position} is not owned by this shard`;
  return new KvError("unavailable", text, { moved: true });
}
