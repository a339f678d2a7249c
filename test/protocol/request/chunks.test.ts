/**
 * Chunks: a batch over two shards of four positions, cut by bytes, operations and reply bytes.
 */
import { expect } from "chai";
import type { Position, ShardId } from "../../../protocol/ids.js";
import { BATCH_OPERATIONS_MAX } from "../../../protocol/limits.js";
import { positionOf } from "../../../protocol/position.js";
import { assembleBatch } from "../../../protocol/request/batch.js";
import { chunksByShard, type Chunk } from "../../../protocol/request/chunks.js";
import { newDraft, type Draft } from "../../../protocol/request/draft.js";
import type { RefusedRequest, Request } from "../../../protocol/request/request.js";
import { parseBatchRequest } from "../../../protocol/request/text.js";
import { RingLookup } from "../../../protocol/ring/ring.js";
import { smallRing } from "../../support/small-ring.js";

const lookup = new RingLookup(smallRing([0, 1], [2, 3]));
const big = "x".repeat(200_000);

describe("chunks of a batch", () => {
  it("keep the order within a shard, and each message below half a megabyte", () => {
    const [a, b] = [keyOf("s1"), keyOf("s2")];
    const ops = [set(a, big), set(b, 1), set(a, big), set(a, big), set(b, 2)];
    expect(cut(requestsOf(ops))).to.deep.equal({ s1: [[0, 2], [3]], s2: [[1, 4]] });
  });

  it("hold those that are asked for, and none that its form refuses", () => {
    const a = keyOf("s1");
    const requests = requestsOf([set(a, 1), { op: "set", key: a }, set(a, 2), set(a, 3)]);
    expect(cut(requests, { indexes: [0, 1, 3] })).to.deep.equal({ s1: [[0, 3]] });
  });

  it("have one operation at least, however large", () => {
    const a = keyOf("s1");
    const requests = requestsOf([set(a, big), set(a, 1), set(a, big)]);
    expect(cut(requests, { bytesMax: 1 })).to.deep.equal({ s1: [[0], [1], [2]] });
  });

  it("have no more operations than the most modest of theirs allows", () => {
    const a = keyOf("s1");
    const requests = requestsOf(Array.from({ length: 6 }, (_, value) => set(a, value)));
    const countMaxOf = (index: number): number => (index === 3 ? 2 : BATCH_OPERATIONS_MAX);
    expect(cut(requests, { countMaxOf })).to.deep.equal({ s1: [[0, 1, 2], [3, 4], [5]] });
  });

  it("are such that a shard takes each of them, with long keys too", () => {
    const tag = `{${keyOf("s1")}}`;
    const keys = Array.from({ length: 1_000 }, (_, index) => `${tag}${index}`.padEnd(700, "x"));
    const requests = keys.map((key): Request => {
      const position = positionOf(key, 4);
      const rest = { minRevision: undefined, accept: undefined, hops: 0 };
      return { kind: "get", key, position, level: "stale", ...rest };
    });
    const frame = { atomic: false, hops: 0, positionCount: 4 };
    const chunks = cut(requests, { bytesMax: 1_000_000 })["s1"] ?? [];
    expect(chunks).to.have.length(2);
    for (const chunk of chunks) {
      const draftAt = (place: number): Draft => newDraft("get", keys[chunk[place] ?? 0] ?? "");
      assembleBatch(chunk.length, frame, draftAt);
    }
  });
});

interface Cutting {
  readonly indexes?: Chunk;
  readonly bytesMax?: number;
  readonly countMaxOf?: (index: number) => number;
}

function cut(
  requests: readonly (Request | RefusedRequest)[],
  cutting: Cutting = {},
): Record<string, Chunk[]> {
  const { indexes = [...requests.keys()], bytesMax = 512 * 1_024 } = cutting;
  const { countMaxOf = () => BATCH_OPERATIONS_MAX } = cutting;
  const shardOf = (position: Position): ShardId => lookup.shardOf(position).shard;
  return Object.fromEntries(chunksByShard(requests, indexes, shardOf, { bytesMax, countMaxOf }));
}

function requestsOf(ops: readonly object[]): readonly (Request | RefusedRequest)[] {
  const payload = Buffer.from(JSON.stringify({ ops }));
  return parseBatchRequest(payload, undefined, 4).requests;
}

/** A key in one of the shard's positions. */
function keyOf(shard: "s1" | "s2"): string {
  const isOf = (key: string): boolean => lookup.shardOf(positionOf(key, 4)).shard === shard;
  let number = 0;
  while (!isOf(`key${number}`)) number += 1;
  return `key${number}`;
}

function set(key: string, value: unknown): { op: string; key: string; value: unknown } {
  return { op: "set", key, value };
}
