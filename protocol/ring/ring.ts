/**
 * The ring table: which shard has which positions, and which nodes hold each shard.
 *
 * The table is explicit; nothing about it is computed from hashes (ring-plan.ts says how it comes
 * about). It tells people, coordinators and clients where to look. What a shard may do with a
 * position is written in the shard's log instead, so an old table costs a hop, never a wrong
 * answer. It is the reply of `kv.ring`, and the same JSON lies in the ring bucket.
 *
 * Invariants (parseRing refuses a table that breaks one)
 *   1. Every position 0 … positionCount − 1 belongs to exactly one shard.
 *   2. A shard's replicas are on distinct nodes of the table, at least one; its home comes first.
 *   3. Shards, nodes and log-ids have names of their own.
 *
 * That replicas are in distinct zones is the planner's affair and not checked here: a node that is
 * told another zone must not make the table of a running store unreadable.
 */
import { assert } from "../assert.js";
import { KvError } from "../errors.js";
import type { Epoch, LogId, NodeName, Position, ShardId } from "../ids.js";
import { POSITION_COUNT_MAX, WEIGHT_MAX } from "../limits.js";
import { checkNodeName, checkStoreName, isShardId } from "../nats/subjects.js";

export interface RingShard {
  readonly shard: ShardId;
  readonly logId: LogId;
  /** Where its replicas are, its home first. */
  readonly nodes: readonly NodeName[];
  /** Its share of the positions, as a whole number; 0 = it is to have none. */
  readonly weight: number;
  /** Ascending. */
  readonly positions: readonly Position[];
  /**
   * The logs that this one goes on from, the newest first (`ringdex repair`): a node that was away
   * knows by it that a store of one of them is the shard's. Left out = there was none.
   */
  readonly logIdsBefore?: readonly LogId[];
}

export interface RingNode {
  readonly node: NodeName;
  /** Its share of the replicas, as a whole number; 0 = it is to have none. */
  readonly weight: number;
  /** What fails together with other nodes: a rack, a data centre. Undefined = only itself. */
  readonly zone: string | undefined;
}

export interface RingTable {
  readonly store: string;
  readonly epoch: Epoch;
  readonly positionCount: number;
  readonly shards: readonly RingShard[];
  readonly nodes: readonly RingNode[];
}

/** The table as JSON has it. */
export interface RingJson {
  readonly store: string;
  readonly epoch: number;
  readonly position_count: number;
  readonly shards: readonly {
    readonly shard: string;
    readonly log_id: string;
    readonly nodes: readonly string[];
    readonly positions: readonly string[];
    readonly weight: number;
    readonly log_ids_before?: readonly string[];
  }[];
  readonly nodes: readonly {
    readonly node: string;
    readonly weight: number;
    readonly zone?: string;
  }[];
}

export function encodeRing(ring: RingTable): RingJson {
  return {
    store: ring.store,
    epoch: ring.epoch,
    position_count: ring.positionCount,
    shards: ring.shards.map(({ shard, logId, nodes, weight, positions, logIdsBefore }) => ({
      shard,
      log_id: logId,
      nodes,
      positions: toRanges(positions),
      weight,
      ...(logIdsBefore === undefined ? {} : { log_ids_before: logIdsBefore }),
    })),
    nodes: ring.nodes.map(({ node, weight, zone }) =>
      zone === undefined ? { node, weight } : { node, weight, zone },
    ),
  };
}

/**
 * The table of a JSON value. Members it does not know are left out. Throws KvError `internal`
 * for anything that is no ring table: nobody but Ringdex writes one.
 */
export function parseRing(json: unknown): RingTable {
  const object = objectOf("the ring", json);
  const positionCount = wholeOf("position_count", object["position_count"], 1, POSITION_COUNT_MAX);
  const ring: RingTable = {
    store: textOf("store", object["store"]),
    epoch: wholeOf("epoch", object["epoch"], 1, Number.MAX_SAFE_INTEGER) as Epoch,
    positionCount,
    shards: listOf("shards", object["shards"]).map((shard) => parseShard(shard, positionCount)),
    nodes: listOf("nodes", object["nodes"]).map(parseNode),
  };
  checkRing(ring);
  return ring;
}

function parseShard(json: unknown, positionCount: number): RingShard {
  const object = objectOf("a shard", json);
  const shard = textOf("shard", object["shard"]);
  if (!isShardId(shard)) throw broken(`shard ${JSON.stringify(shard)} is not s1, s2, …`);
  const before = object["log_ids_before"];
  const ranges = listOf("positions", object["positions"]).map((range) =>
    textOf("positions", range),
  );
  return {
    shard,
    logId: logIdOf(shard, object["log_id"]),
    nodes: listOf("nodes", object["nodes"]).map((node) => textOf("node", node) as NodeName),
    weight: wholeOf("weight", object["weight"], 0, WEIGHT_MAX),
    positions: rethrown(() => fromRanges(ranges, positionCount)),
    ...(before === undefined
      ? {}
      : { logIdsBefore: listOf("log_ids_before", before).map((each) => logIdOf(shard, each)) }),
  };
}

function logIdOf(shard: string, json: unknown): LogId {
  const logId = textOf("log_id", json);
  if (/^[0-9a-f]{16}$/.test(logId)) return logId as LogId;
  throw broken(`log_id of ${shard} is ${JSON.stringify(logId)}, not 16 hexadecimal digits`);
}

function parseNode(json: unknown): RingNode {
  const object = objectOf("a node", json);
  return {
    node: textOf("node", object["node"]) as NodeName,
    weight: wholeOf("weight", object["weight"], 0, WEIGHT_MAX),
    zone: object["zone"] === undefined ? undefined : textOf("zone", object["zone"]),
  };
}

/** Throws KvError `internal` unless the invariants hold. */
export function checkRing(ring: RingTable): void {
  rethrown(() => checkStoreName(ring.store));
  for (const { node } of ring.nodes) rethrown(() => checkNodeName(node));
  const nodeNames = ring.nodes.map(({ node }) => node);
  distinct("node", nodeNames);
  distinct(
    "shard",
    ring.shards.map(({ shard }) => shard),
  );
  distinct(
    "log_id",
    ring.shards.map(({ logId }) => logId),
  );
  const nodes = new Set(nodeNames);
  for (const shard of ring.shards) checkReplicas(shard, nodes);
  const owners = Array.from({ length: ring.positionCount }, (): ShardId | undefined => undefined);
  for (const { shard, positions } of ring.shards) {
    for (const position of positions) {
      if (position >= ring.positionCount) throw broken(`position ${position} is not on the ring`);
      const owner = owners[position];
      if (owner !== undefined)
        throw broken(`position ${position} belongs to both ${owner} and ${shard}`);
      owners[position] = shard;
    }
  }
  const missing = owners.indexOf(undefined);
  if (missing >= 0) throw broken(`position ${missing} belongs to no shard`);
}

function checkReplicas(shard: RingShard, nodes: ReadonlySet<NodeName>): void {
  if (shard.nodes.length === 0) throw broken(`${shard.shard} is on no node`);
  distinct(`node of ${shard.shard}`, shard.nodes);
  for (const node of shard.nodes) {
    if (!nodes.has(node)) throw broken(`${shard.shard} is on ${node}, which is not a node`);
  }
}

/**
 * True if `ring` is `before` after repairs, and no other change: its shards are in the same logs or
 * in such as go on from them, at least one. Such a `before` has lost what was changed.
 */
export function goesOnFrom(ring: RingTable, before: RingTable): boolean {
  if (ring.epoch <= before.epoch) return false;
  const logIds = new Map(before.shards.map(({ shard, logId }) => [shard, logId]));
  const inOldLogs = ring.shards.map((shard): RingShard => {
    const logId = logIds.get(shard.shard);
    return logId !== undefined && shard.logIdsBefore?.includes(logId) ? { ...shard, logId } : shard;
  });
  if (inOldLogs.every((shard, index) => shard === ring.shards[index])) return false;
  const asBefore = { ...ring, epoch: before.epoch, shards: inOldLogs };
  return textWithoutPast(asBefore) === textWithoutPast(before);
}

function textWithoutPast(ring: RingTable): string {
  const shards = ring.shards.map(({ logIdsBefore: _past, ...shard }): RingShard => shard);
  return JSON.stringify(encodeRing({ ...ring, shards }));
}

/** Stands for the shard of a position before it is known. */
const NO_SHARD = 0xffff;

/** Finds a position's shard. Built once for each table. Cost: two bytes a position. */
export class RingLookup {
  readonly #shardIndexes: Uint16Array;

  constructor(readonly ring: RingTable) {
    this.#shardIndexes = new Uint16Array(ring.positionCount).fill(NO_SHARD);
    let found = 0;
    for (const [index, shard] of ring.shards.entries()) {
      for (const position of shard.positions) {
        const isFree = this.#shardIndexes[position] === NO_SHARD;
        assert(isFree, `by invariant 1 position ${position} is on the ring and of one shard`);
        this.#shardIndexes[position] = index;
        found += 1;
      }
    }
    assert(found === ring.positionCount, "by invariant 1 every position is of a shard");
  }

  shardOf(position: Position): RingShard {
    const shard = this.ring.shards[this.#shardIndexes[position] ?? -1];
    assert(shard !== undefined, `position ${position} of ${this.ring.positionCount}`);
    return shard;
  }
}

/** `[0, 1, 2, 7]` → `["0-2", "7"]`. Positions in any order, none twice. */
export function toRanges(positions: readonly Position[]): string[] {
  const ascending = positions.toSorted((a, b) => a - b);
  const ranges: string[] = [];
  let first = 0;
  for (const [index, position] of ascending.entries()) {
    const next = ascending[index + 1];
    assert(next !== position, `position ${position} occurs once`);
    if (next === position + 1) continue;
    const from = ascending[first] as Position;
    ranges.push(from === position ? `${from}` : `${from}-${position}`);
    first = index + 1;
  }
  return ranges;
}

/**
 * `["0-2", "7"]` → `[0, 1, 2, 7]`. Throws KvError `bad-request` for anything but ascending ranges
 * within the ring that do not overlap.
 */
export function fromRanges(ranges: readonly string[], positionCount: number): Position[] {
  const positions: Position[] = [];
  let next = 0;
  for (const range of ranges) {
    const match = /^(0|[1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?$/.exec(range);
    const from = Number(match?.[1] ?? NaN);
    const to = Number(match?.[2] ?? from);
    if (!(from >= next && to >= from && to < positionCount)) {
      const form = `ascending ranges like "0-340" or "512" below ${positionCount}`;
      const description = `positions must be ${form}, but ${JSON.stringify(range)} was received`;
      throw new KvError("bad-request", description, { field: "positions", limit: positionCount });
    }
    for (let position = from; position <= to; position += 1) positions.push(position as Position);
    next = to + 1;
  }
  return positions;
}

function broken(reason: string): KvError {
  return new KvError("internal", `the ring table is broken: ${reason}`);
}

function rethrown<T>(check: () => T): T {
  try {
    return check();
  } catch (cause) {
    throw new KvError("internal", `the ring table is broken: ${String(cause)}`, {}, { cause });
  }
}

function distinct(what: string, names: readonly string[]): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) throw broken(`${what} ${name} occurs twice`);
    seen.add(name);
  }
}

function objectOf(what: string, json: unknown): Readonly<Record<string, unknown>> {
  if (typeof json === "object" && json !== null && !Array.isArray(json)) {
    return json as Record<string, unknown>;
  }
  throw broken(`${what} is ${JSON.stringify(json)}, not an object`);
}

function listOf(what: string, json: unknown): readonly unknown[] {
  if (Array.isArray(json)) return json as unknown[];
  throw broken(`${what} is ${JSON.stringify(json)}, not a list`);
}

function textOf(what: string, json: unknown): string {
  if (typeof json === "string") return json;
  throw broken(`${what} is ${JSON.stringify(json)}, not text`);
}

function wholeOf(what: string, json: unknown, least: number, most: number): number {
  if (Number.isInteger(json) && (json as number) >= least && (json as number) <= most) {
    return json as number;
  }
  throw broken(`${what} is ${JSON.stringify(json)}, not a whole number from ${least} to ${most}`);
}
