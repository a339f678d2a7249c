/**
 * Store finding: what a stopped store says of itself.
 */
import { expect } from "chai";
import type { Sequence } from "../../../protocol/ids.js";
import { chainHex } from "../../../protocol/log/entry.js";
import { incr, LOG_ID, set } from "../../support/log-writer.js";
import { MemoryNode, MemoryShard } from "../../support/memory-shard.js";
import { appliedRow } from "../../support/store-check.js";

describe("store finding", () => {
  let shard: MemoryShard;

  let place: { sequence: Sequence; chain: bigint };

  beforeEach(async () => {
    shard = new MemoryShard();
    const [one] = (await shard.startServing("n1")) as [MemoryNode];
    await shard.write(set("kept", 1, { request: "request-1" }));
    for (let number = 0; number < 5; number += 1) await shard.write(incr("a", 1));
    await shard.stop(one);
    const row = await rowOf("n1");
    place = { sequence: row!.sequence, chain: row!.chain };
  });

  it("tells what a stopped store holds, with the chains it still knows", async () => {
    shard.stream.truncate(place.sequence - 2);
    const node = shard.start("n1");
    await shard.clock.resolve(node.ended);
    const asked = [place.sequence - 1, place.sequence, place.sequence + 1];
    const found = node.replica.finding(asked);
    expect(found).to.deep.include({
      log_id: LOG_ID,
      sequence: place.sequence,
      chain: chainHex(place.chain),
      keys: 2,
      parent: null,
    });
    expect(Object.keys(found?.chains ?? {})).to.deep.equal(asked.slice(0, 2).map(String));
    expect(found?.records).to.equal(node.replica.status().digest.records);
  });

  async function rowOf(name: string): ReturnType<typeof appliedRow> {
    const store = shard.disk(name).open();
    const row = await appliedRow(store);
    await store.close();
    return row;
  }
});
