/**
 * Reader: answers a replica's gets.
 *
 * Mailbox     two, by what a get waits for; each taken in batches: all that has arrived
 * State       none of its own; reads the replica's store
 * Decides in  reader-core.ts (no I/O); this file only carries its decisions out
 * Lifecycle   run until closed
 * On a bug    InvariantError or a failed read leaves run(); the replica is started again
 */
import type { Clock } from "../../../infra/clock.js";
import type { Store } from "../../../infra/store.js";
import { KvError } from "../../../protocol/errors.js";
import type { Revision } from "../../../protocol/ids.js";
import { SESSION_WAIT_MS } from "../../../protocol/limits.js";
import type { Result } from "../../../protocol/reply/result.js";
import type { GetRequest } from "../../../protocol/request/request.js";
import { decodeRecord } from "../../../protocol/store/record.js";
import { recordKey } from "../../../protocol/store/store-keys.js";
import type { OnRefusal } from "../../admission.js";
import type { Applied } from "../state/applied.js";
import { Mailbox } from "../state/mailbox.js";
import { notOwned } from "../state/ownership.js";
import { isDoubtful, needsTail, resultOf } from "./reader-core.js";

export interface PendingGet {
  readonly request: GetRequest;
  readonly settle: (result: Result) => void;
}

export class Reader {
  readonly #mailbox: Mailbox<PendingGet>;
  /** Gets that need no word from the log: they must not wait behind those that do. */
  readonly #mailboxAtOnce: Mailbox<PendingGet>;
  #answering = 0;
  /** All that may read the store. */
  readonly #tasks = new Set<Promise<void>>();
  #fail: (error: unknown) => void = () => {};

  constructor(
    private readonly applied: Applied,
    private readonly store: Store,
    /** Resolves when all that was acknowledged before the call has been applied here. */
    private readonly barrier: () => Promise<void>,
    /** Resolves when an own entry, proposed after the call, has been applied. */
    private readonly moveTime: () => Promise<void>,
    private readonly clock: Clock,
    onRefusal?: OnRefusal,
  ) {
    this.#mailbox = new Mailbox(clock, onRefusal);
    this.#mailboxAtOnce = new Mailbox(clock, onRefusal);
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
    const mailbox = needsTail(request) ? this.#mailbox : this.#mailboxAtOnce;
    mailbox.offer({ request, settle: settleOnce });
    this.#answering += 1;
  }

  async run(): Promise<void> {
    const failed = new Promise<never>((_resolve, reject) => {
      this.#fail = reject;
    });
    const loops = Promise.all([
      this.#track(this.#answerLinearizable()),
      this.#track(this.#answerAtOnce()),
    ]);
    await Promise.race([loops, failed]);
  }

  /** Resolves when it no longer reads the store. After close(). */
  async ended(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.allSettled(this.#tasks);
  }

  close(): void {
    const left = [...this.#mailbox.close(), ...this.#mailboxAtOnce.close()];
    settleAll(left, new KvError("unavailable", "the replica is closing; send it again"));
  }

  /**
   * One batch at a time: what arrives while we ask for the log's end is the next batch, so a busy
   * reader asks less often, not more. It takes the batch first and asks for the end then: so every
   * write acknowledged before one of these gets was sent lies at or before that end.
   */
  async #answerLinearizable(): Promise<void> {
    for await (const batch of this.#mailbox.batches()) {
      const error = await refusalOf(this.barrier());
      if (error !== undefined) settleAll(batch, error);
      else await this.#read(batch);
    }
  }

  async #answerAtOnce(): Promise<void> {
    for await (const batch of this.#mailboxAtOnce.batches()) {
      const ready: PendingGet[] = [];
      for (const get of batch) {
        // Waits of single gets must not hold up the others.
        if (this.#mustWait(get)) this.#apart(this.#answerSession(get));
        else ready.push(get);
      }
      await this.#read(ready);
    }
  }

  #mustWait({ request }: PendingGet): boolean {
    const { level, position, minRevision } = request;
    if (level !== "session" || minRevision === undefined) return false;
    return this.applied.table.revision(position) < minRevision;
  }

  async #answerSession(get: PendingGet): Promise<void> {
    const { position, minRevision } = get.request;
    const wanted = minRevision ?? (0 as Revision);
    const waited = this.applied.reachedRevision(position, wanted, SESSION_WAIT_MS);
    const error = await refusalOf(waited);
    if (error !== undefined) settleAll([get], error);
    else await this.#read([get]);
  }

  /** Work beside the loops; its failure is the reader's. */
  #apart(task: Promise<void>): void {
    this.#track(task).catch((error: unknown) => this.#fail(error));
  }

  #track(task: Promise<void>): Promise<void> {
    const tracked = task.finally(() => this.#tasks.delete(tracked));
    this.#tasks.add(tracked);
    return tracked;
  }

  async #read(batch: readonly PendingGet[], timeHasMoved = false): Promise<void> {
    if (batch.length === 0) return;
    const { ownership } = this.applied;
    const generations = batch.map(({ request }) => ownership.generation(request.position));
    const keys = batch.map(({ request }) => recordKey(request.position, Buffer.from(request.key)));
    // Taken before the read: by a later log time a record that we read may be due, though a write
    // had already replaced it by then.
    const { appliedLogTime: logTime } = this.applied;
    const rows = await this.store.getMany(keys);
    const doubtful: PendingGet[] = [];
    for (const [index, get] of batch.entries()) {
      const { request } = get;
      // Ownership is looked at last: a position that left while we read has taken its records
      // along, and "not found" would be a lie.
      if (!ownership.stillOwns(request.position, generations[index] as number)) {
        get.settle({ kind: "refused", error: notOwned(request.position) });
        continue;
      }
      const row = rows[index];
      const record = row === undefined ? undefined : decodeRecord(row);
      const mayBeDue = needsTail(request) && isDoubtful(record, logTime, this.clock.now());
      if (mayBeDue && !timeHasMoved) doubtful.push(get);
      else get.settle(resultOf(request, record, logTime));
    }
    if (doubtful.length > 0) this.#apart(this.#readAfterTimeMoved(doubtful));
  }

  /** Records due by our clock but not by the log's: the log decides (rule L6). */
  async #readAfterTimeMoved(batch: readonly PendingGet[]): Promise<void> {
    const error = await refusalOf(this.moveTime());
    if (error !== undefined) settleAll(batch, error);
    else await this.#read(batch, true);
  }
}

/** Why it was refused; undefined if it was not. Rejects as before if that is no KvError. */
async function refusalOf(waited: Promise<void>): Promise<KvError | undefined> {
  try {
    await waited;
    return undefined;
  } catch (error) {
    if (error instanceof KvError) return error;
    throw error;
  }
}

function settleAll(batch: readonly PendingGet[], error: KvError): void {
  for (const { settle } of batch) settle({ kind: "refused", error });
}
