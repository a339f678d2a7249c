/**
 * Finder: answers find, count and keys over all shards, with each position counted exactly once.
 *
 * The finder sends one message to every shard of the ring table, and each replica answers for the
 * positions it owns. Coverage accepts an answer whole or not at all. While a position moves, two
 * shards may answer for it, or none. If a shard's answer overlaps, the finder asks it again for
 * its positions that no other answer covers: rows of some positions cannot be taken out of a count
 * or a cut page. For positions without an answer it asks their owner in the current ring table.
 * If positions are still missing after ROUNDS_MAX rounds, the reply is `incomplete`, or lists them
 * if the client said `partial`.
 */
import { assert } from "../../protocol/assert.js";
import { KvError } from "../../protocol/errors.js";
import type { Position, ShardId } from "../../protocol/ids.js";
import { REPLY_BYTES_MAX } from "../../protocol/limits.js";
import { parseCount, parseFind, parseKeys } from "../../protocol/query/body.js";
import { decodeCursor, encodeCursor, queryHash, type Cursor } from "../../protocol/query/cursor.js";
import { checkDriver, chooseDriver } from "../../protocol/query/driver.js";
import type { Condition } from "../../protocol/query/filter.js";
import {
  decodeCountReply,
  decodePageReply,
  encodeQuery,
  type Covered,
  type FindRequest,
  type FoundRow,
  type KeysRequest,
  type PageReply,
  type QueryLevel,
  type QueryRequest,
} from "../../protocol/query/messages.js";
import { typeMember } from "../../protocol/reply/json.js";
import { RingLookup, toRanges, type RingTable } from "../../protocol/ring/ring.js";
import { KEY_PATH } from "../../protocol/value/attribute-path.js";
import { spliceJson, jsonOfText } from "../../protocol/value/content.js";
import { Coverage } from "./coverage.js";
import { cutPage, mergePage, type Page } from "./merge.js";

/** Sends a shard's query to one of its replicas. Rejects with KvError if no answer came. */
export type AskShard = (
  shard: ShardId,
  verb: QueryRequest["verb"],
  payload: Uint8Array,
) => Promise<Uint8Array>;

const ROUNDS_MAX = 3;
/** Room in a page's reply beside the rows: members, cursor. The certificate is measured apart. */
const REPLY_FRAME_BYTES = 8 * 1_024;

/** Failures that asking another replica, or later, may mend. All others are the query's own. */
const mendable = new Set(["unavailable", "in-doubt", "overloaded", "internal"]);

interface Accepted<Reply> {
  readonly shard: ShardId;
  readonly reply: Reply;
}

interface Gathered<Reply> {
  readonly accepted: readonly Accepted<Reply>[];
  readonly missing: readonly Position[];
  /** By shard: why it gave no answer when it was asked last without one. */
  readonly reasons: ReadonlyMap<ShardId, string>;
}

interface Asked {
  readonly shard: ShardId;
  /** Undefined = all it owns. */
  readonly positions: readonly Position[] | undefined;
}

export class Finder {
  constructor(
    private readonly ask: AskShard,
    /** The ring table as it is now. */
    private readonly ring: () => RingTable,
  ) {}

  /** Reply body of `kv.find`. Throws KvError. */
  async find(payload: Uint8Array, level: QueryLevel = "linearizable"): Promise<string> {
    const body = parseFind(payload);
    const { conditions } = body.filter;
    const query = queryHash(this.ring().store, "find", conditions);
    const cursor = cursorOf(body.cursor, query, conditions);
    const request: FindRequest = {
      verb: "find",
      conditions,
      level,
      scan: body.scan,
      positions: undefined,
      driver: cursor?.driver ?? chooseDriver(conditions),
      after: cursor?.after,
      limit: body.limit,
      bytesMax: REPLY_BYTES_MAX - REPLY_FRAME_BYTES,
      values: body.select?.length !== 0,
      select: body.select?.length === 0 ? undefined : body.select,
    };
    const gathered = await this.gather(request, decodePageReply);
    refuseMissing(gathered, body.partial);
    const tail = tailOf(gathered, body.certificate);
    return pageBody("find", "items", request, gathered, query, itemJson, tail);
  }

  /** Reply body of `kv.keys`. */
  async keys(payload: Uint8Array, level: QueryLevel = "linearizable"): Promise<string> {
    const body = parseKeys(payload);
    const conditions: Condition[] = [{ path: KEY_PATH, operator: "prefix", prefix: body.prefix }];
    const query = queryHash(this.ring().store, "keys", conditions);
    const request: KeysRequest = {
      verb: "keys",
      conditions,
      level,
      scan: false,
      positions: undefined,
      driver: "key",
      after: cursorOf(body.cursor, query, conditions)?.after,
      limit: body.limit,
      bytesMax: REPLY_BYTES_MAX - REPLY_FRAME_BYTES,
    };
    const gathered = await this.gather(request, decodePageReply);
    refuseMissing(gathered, false);
    return pageBody("keys", "keys", request, gathered, query, ({ key }) => jsonOfText(key), "");
  }

  /** Reply body of `kv.count`. */
  async count(payload: Uint8Array, level: QueryLevel = "linearizable"): Promise<string> {
    const { filter, partial, certificate, scan } = parseCount(payload);
    const { conditions } = filter;
    const request: QueryRequest = { verb: "count", conditions, level, scan, positions: undefined };
    const gathered = await this.gather(request, decodeCountReply);
    refuseMissing(gathered, partial);
    let count = 0;
    for (const { reply } of gathered.accepted) count += reply.count;
    const tail = tailOf(gathered, certificate);
    return `{${typeMember("count")}"count":${count}${tail}}`;
  }

  private async gather<Reply extends Covered>(
    request: QueryRequest,
    decode: (payload: Uint8Array, positionCount: number) => Reply,
  ): Promise<Gathered<Reply>> {
    const { positionCount, shards } = this.ring();
    const coverage = new Coverage(positionCount);
    const accepted: Accepted<Reply>[] = [];
    const reasons = new Map<ShardId, string>();
    let asked: Asked[] = shards.map(({ shard }) => ({ shard, positions: undefined }));
    for (let round = 1; asked.length > 0; round += 1) {
      const again: Asked[] = [];
      const take = async ({ shard, positions }: Asked): Promise<void> => {
        const payload = encodeQuery({ ...request, positions });
        const reply = await mended(reasons, shard, async () =>
          decode(await this.ask(shard, request.verb, payload), positionCount),
        );
        if (reply === undefined) return;
        // Nothing waits between the check and the claim: answers are taken one after another.
        if (coverage.accept({ shard, ...reply }).ok) accepted.push({ shard, reply });
        else again.push({ shard, positions: reply.positions });
      };
      await Promise.all(asked.map(take));
      if (coverage.isComplete || round === ROUNDS_MAX) break;
      asked = this.askedNext(coverage.missing(), again);
    }
    return { accepted, missing: coverage.missing(), reasons };
  }

  /** Whom to ask for missing positions: first a shard that just claimed them, then the owner. */
  private askedNext(missing: readonly Position[], again: readonly Asked[]): Asked[] {
    const lookup = new RingLookup(this.ring());
    const shardOf = new Map<Position, ShardId>();
    for (const position of missing) shardOf.set(position, lookup.shardOf(position).shard);
    for (const { shard, positions } of again) {
      for (const position of positions ?? [])
        if (shardOf.has(position)) shardOf.set(position, shard);
    }
    const asked = new Map<ShardId, Position[]>();
    for (const [position, shard] of shardOf) {
      const positions = asked.get(shard) ?? [];
      asked.set(shard, positions);
      positions.push(position);
    }
    return [...asked].map(([shard, positions]) => ({ shard, positions }));
  }
}

function cursorOf(
  text: string | undefined,
  query: Uint8Array,
  conditions: readonly Condition[],
): Cursor | undefined {
  if (text === undefined) return undefined;
  const cursor = decodeCursor(text, query);
  checkDriver(cursor.driver, conditions);
  return cursor;
}

/** The answer, or undefined if there is none now. Throws errors that the query itself causes. */
async function mended<Reply>(
  reasons: Map<ShardId, string>,
  shard: ShardId,
  ask: () => Promise<Reply>,
): Promise<Reply | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof KvError && mendable.has(error.kind))) throw error;
    reasons.set(shard, `${error.kind}: ${error.message}`);
    return undefined;
  }
}

function refuseMissing({ missing, reasons }: Gathered<Covered>, partial: boolean): void {
  if (missing.length === 0 || partial) return;
  throw new KvError(
    "incomplete",
    `no shard answered for ${missing.length} positions; send it again, or say "partial": true`,
    { missing: toRanges(missing), reasons: Object.fromEntries(reasons) },
  );
}

/** `"complete"`, and `"missing"` and `"certificate"` where they belong. */
function tailOf(gathered: Gathered<Covered>, certificate: boolean): string {
  const { accepted, missing } = gathered;
  let tail = `,"complete":${missing.length === 0}`;
  if (missing.length > 0) tail += `,"missing":${JSON.stringify(toRanges(missing))}`;
  if (!certificate) return tail;
  const parts = accepted.map(({ shard, reply }) => {
    const { epoch, sequence, positions } = reply;
    return { shard, epoch, sequence, positions: toRanges(positions) };
  });
  return `${tail},"certificate":${JSON.stringify(parts)}`;
}

/** The page as JSON; if that is larger than a reply may be, fewer rows and a cursor. */
function pageBody(
  verb: string,
  member: string,
  request: FindRequest | KeysRequest,
  gathered: Gathered<PageReply>,
  query: Uint8Array,
  toJson: (row: FoundRow) => string,
  tail: string,
): string {
  let page: Page<FoundRow> = mergePage(
    gathered.accepted.map(({ reply }) => reply),
    request.limit,
  );
  let room = REPLY_BYTES_MAX - REPLY_FRAME_BYTES - Buffer.byteLength(tail);
  const items: string[] = [];
  for (const row of page.rows) {
    const item = toJson(row);
    room -= Buffer.byteLength(item) + 1;
    if (room < 0) break;
    items.push(item);
  }
  assert(items.length > 0 || page.rows.length === 0, "spliceJson leaves room for one row");
  if (items.length < page.rows.length) page = cutPage(page.rows, items.length);
  const { driver } = request;
  const cursor = page.next && jsonOfText(encodeCursor({ driver, after: page.next }, query));
  const head = `{${typeMember(verb)}"${member}":[${items.join(",")}]`;
  return `${head},"cursor":${cursor ?? "null"}${tail}}`;
}

function itemJson({ key, value, contentType, revision }: FoundRow): string {
  const text = value === undefined ? "" : `,${spliceJson(value, contentType)}`;
  return `{"key":${jsonOfText(key)}${text},"revision":${revision}}`;
}
