/**
 * Query: answers find, count and keys for the positions that one replica owns.
 *
 * Mailbox     kv.shard.<shard>.find, .count and .keys, taken in batches: all that has arrived
 * State       none of its own; reads one view of the replica's store for each query
 * Decides in  query-plan.ts (what to read), query-page.ts (where to stop)
 * Lifecycle   run until closed; it still answers the queries that it has taken
 * On a bug    InvariantError or a failed read leaves run(); the replica is started again
 *
 * Queries run side by side, QUERIES_MAX at most: a long one does not hold up those behind it.
 */
import type { Clock } from "../../../infra/clock.js";
import type { Logger } from "../../../infra/logger.js";
import type { StoreIterator, StoreRange } from "../../../infra/store.js";
import { assert } from "../../../protocol/assert.js";
import { KvError } from "../../../protocol/errors.js";
import type { Position, ShardId } from "../../../protocol/ids.js";
import { COUNT_MS_MAX, PAGE_MS_MAX, QUERIES_MAX, VIEW_MS_MAX } from "../../../protocol/limits.js";
import type { Place } from "../../../protocol/query/cursor.js";
import {
  decodeQuery,
  encodeCountReply,
  encodePageReply,
  encodeQueryError,
  type QueryRequest,
} from "../../../protocol/query/messages.js";
import { recordRange, type KeyRange } from "../../../protocol/store/store-keys.js";
import type { IndexPolicy } from "../../../protocol/value/attributes.js";
import type { OnRefusal } from "../../admission.js";
import type { Applied, View } from "../state/applied.js";
import { Mailbox } from "../state/mailbox.js";
import { countMatches, findPage, keysPage, sortedPage } from "./query-page.js";
import { isExactFor, isWholeScan, planOf, type QueryPlan, type Source } from "./query-plan.js";
import { Scan } from "./query-scan.js";
import { openSource, raceStreams, sourceRanges, type CandidateStream } from "./query-sources.js";

/** Verbs of kv.shard.<shard>.<verb> that are answered here. */
export const queryVerbs: ReadonlySet<string> = new Set<QueryRequest["verb"]>([
  "find",
  "count",
  "keys",
]);

export interface QueryParts {
  readonly shard: ShardId;
  readonly applied: Applied;
  /** The policy that the log has set. */
  readonly indexPolicy: () => IndexPolicy;
  /** Resolves when all that was acknowledged before the call has been applied here. */
  readonly barrier: () => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of the mailbox. Default: nobody is told. */
  readonly onRefusal?: OnRefusal;
}

/** A reply's bytes, and the error if they hold one. */
export type QueryReply = readonly [bytes: Uint8Array, error?: KvError];

interface Waiting {
  readonly request: QueryRequest;
  /** Called once. */
  readonly respond: (...reply: QueryReply) => void;
}

export class Query {
  readonly #mailbox: Mailbox<Waiting>;
  readonly #positionCount: number;
  readonly #allRecords: KeyRange;
  readonly #running = new Set<Promise<void>>();
  #unanswered = 0;
  #fail: (error: unknown) => void = () => {};

  constructor(private readonly parts: QueryParts) {
    this.#mailbox = new Mailbox(parts.clock, parts.onRefusal);
    this.#positionCount = parts.applied.ownership.positionCount;
    const last = (this.#positionCount - 1) as Position;
    this.#allRecords = { from: recordRange(0 as Position).from, to: recordRange(last).to };
  }

  /** True if no query is unanswered. */
  get isIdle(): boolean {
    return this.#unanswered === 0;
  }

  /** `verb` is one of queryVerbs. Every message gets one reply, here or later. */
  offer(verb: string, payload: Uint8Array, reply: (...reply: QueryReply) => void): void {
    assert(queryVerbs.has(verb), `the caller has looked ${verb} up in queryVerbs`);
    try {
      const request = decodeQuery(verb as QueryRequest["verb"], payload, this.#positionCount);
      const respond = (...told: QueryReply): void => {
        this.#unanswered -= 1;
        reply(...told);
      };
      this.#mailbox.offer({ request, respond }, payload.length);
      this.#unanswered += 1;
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      reply(...refusal(error));
    }
  }

  /** Ends when closed and all that was taken is answered. */
  async run(): Promise<void> {
    const failed = new Promise<never>((_resolve, reject) => {
      this.#fail = reject;
    });
    await Promise.race([this.#takeBatches(), failed]);
  }

  /** Resolves when it no longer reads the store. After close(). */
  async ended(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }

  close(): void {
    const error = new KvError("unavailable", "the replica is closing; send it again");
    for (const { respond } of this.#mailbox.close()) respond(...refusal(error));
  }

  async #takeBatches(): Promise<void> {
    for await (const batch of this.#mailbox.batches()) {
      for (const waiting of await this.#pastBarrier(batch)) {
        while (this.#running.size >= QUERIES_MAX) await Promise.race(this.#running);
        this.#start(waiting);
      }
    }
    await Promise.all(this.#running);
  }

  /** It takes the batch first and asks for the barrier then: see Reader. */
  async #pastBarrier(waiting: readonly Waiting[]): Promise<readonly Waiting[]> {
    if (waiting.every(({ request }) => request.level === "stale")) return waiting;
    try {
      await this.parts.barrier();
      return waiting;
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      return waiting.filter(({ request, respond }) => {
        if (request.level === "stale") return true;
        respond(...refusal(error));
        return false;
      });
    }
  }

  #start({ request, respond }: Waiting): void {
    const task = this.#answer(request).then((reply) => respond(...reply));
    const ended: Promise<void> = task.catch(this.#fail).finally(() => {
      this.#running.delete(ended);
    });
    this.#running.add(ended);
  }

  async #answer(request: QueryRequest): Promise<QueryReply> {
    const startedAt = this.parts.clock.elapsedMs();
    const elapsedMs = (): number => this.parts.clock.elapsedMs() - startedAt;
    try {
      return [await this.#read(request, elapsedMs)];
    } catch (error) {
      if (error instanceof KvError) return refusal(error);
      // The view closes by itself then, and whatever reads from it fails.
      if (elapsedMs() < VIEW_MS_MAX) throw error;
      this.parts.logger.info("a query took longer than its view of the store may", {
        shard: this.parts.shard,
        verb: request.verb,
        error,
      });
      const text = `reading took more than ${VIEW_MS_MAX} ms; send it again`;
      const details = { limit: "view_ms", max: VIEW_MS_MAX };
      return refusal(new KvError("overloaded", text, details, { cause: error }));
    }
  }

  async #read(request: QueryRequest, elapsedMs: () => number): Promise<Uint8Array> {
    const after = request.verb === "count" ? undefined : request.after;
    const plan = planOf(request, this.parts.indexPolicy());
    // Without an index that gives the order, the place does not say where to continue.
    const from = plan.isUnindexed ? undefined : after;
    const sourceRows = plan.sources.map((source) => sourceRanges(source, from));
    const ranges: StoreRange[] = [this.#allRecords];
    for (const range of [...plan.arrayRanges, ...sourceRows.flat()]) {
      ranges.push({ ...range, values: false });
    }
    const view = await this.parts.applied.openView(ranges);
    try {
      return await this.#readView(request, plan, view, { from, sourceRows, elapsedMs });
    } finally {
      await view.close();
    }
  }

  async #readView(
    request: QueryRequest,
    plan: QueryPlan,
    view: View,
    opened: {
      from: Place | undefined;
      sourceRows: readonly (readonly KeyRange[])[];
      elapsedMs: () => number;
    },
  ): Promise<Uint8Array> {
    const [records, ...rest] = view.iterators;
    assert(records !== undefined, "the first range is that of all records");
    const isSingle = await areEmpty(rest.splice(0, plan.arrayRanges.length));
    const streams = plan.sources.map((source, index) => {
      const iterators = rest.splice(0, opened.sourceRows[index]!.length);
      return isSingle && plan.ifSingle !== undefined
        ? narrowed(plan.ifSingle, opened.from, iterators)
        : openSource(source, opened.from, iterators);
    });
    const positions = wantedPositions(view, request);
    const { elapsedMs } = opened;
    const isExact = isExactFor(request.conditions, plan);
    const scan = new Scan(view, records, await raceStreams(streams), {
      conditions: request.conditions,
      driver: plan.driver,
      isExact,
      positions,
      positionCount: this.#positionCount,
      rowsBounded:
        !request.scan && request.verb !== "keys" && isWholeScan(plan, request.conditions),
    });
    const covered = { positions, epoch: view.epoch, sequence: view.sequence };
    const isLate = (): boolean => elapsedMs() > PAGE_MS_MAX;
    if (request.verb === "count") {
      const byRows = isExact && !view.hasDue;
      const count = await countMatches(scan, byRows, () => elapsedMs() > COUNT_MS_MAX);
      return encodeCountReply({ count, ...covered });
    }
    if (request.verb === "keys") {
      const hasRecords = view.hasDue || !isExact;
      return encodePageReply({
        ...(await keysPage(scan, request, hasRecords, isLate)),
        ...covered,
      });
    }
    const page = plan.isUnindexed
      ? await sortedPage(scan, request, isLate)
      : await findPage(scan, request, isLate);
    return encodePageReply({ ...page, ...covered });
  }
}

function refusal(error: KvError): QueryReply {
  return [encodeQueryError(error), error];
}

function wantedPositions(view: View, request: QueryRequest): readonly Position[] {
  if (request.positions === undefined) return view.positions;
  const asked = new Set(request.positions);
  return view.positions.filter((position) => asked.has(position));
}

async function areEmpty(iterators: readonly StoreIterator[]): Promise<boolean> {
  const firsts = await Promise.all(iterators.map((iterator) => iterator.next(1)));
  return firsts.every((rows) => rows.length === 0);
}

/** Rows of a part of the range that the iterator was opened over. */
function narrowed(
  source: Source,
  after: Place | undefined,
  iterators: readonly StoreIterator[],
): CandidateStream {
  const [range] = sourceRanges(source, after);
  const [iterator] = iterators;
  assert(range !== undefined && iterator !== undefined, "a range is one interval of rows");
  iterator.seek(range.from);
  const bounded: StoreIterator = {
    next: async (rowsMax) => {
      const rows = await iterator.next(rowsMax);
      return rows.filter(({ key }) => Buffer.compare(key, range.to) < 0);
    },
    seek: (key) => iterator.seek(key),
    close: () => iterator.close(),
  };
  return openSource(source, after, [bounded]);
}
