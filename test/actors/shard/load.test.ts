/**
 * Load: what a replica knows of origins after a start is what it knew before, and a damaged row is
 * never read for another one.
 */
import { expect } from "chai";
import { loadReplica } from "../../../actors/shard/load.js";
import { DamagedError } from "../../../protocol/damaged.js";
import { originKey } from "../../../protocol/store/store-keys.js";
import { LOG_ID, LogWriter, POSITIONS, set } from "../../support/log-writer.js";
import { ShardApplier } from "../../support/shard-applier.js";

describe("load", () => {
  let log: LogWriter;
  let shard: ShardApplier;
  beforeEach(async () => {
    log = new LogWriter();
    log.operations(set("a", 1));
    log.barrier();
    shard = new ShardApplier();
    await shard.apply(log.messages);
  });

  it("brings back the last number of each origin, and when it was", async () => {
    const { decidedLogTime: logTime, origins } = shard.state;
    const loaded = await loadReplica(shard.store, LOG_ID, POSITIONS);
    const known = loaded.origins.get(log.origin, logTime);
    expect(known).to.deep.equal(origins.get(log.origin, logTime));
    expect(known?.number).to.equal(3);
    expect(loaded.origins.count).to.equal(origins.count);
  });

  it("fails if the row of an origin is damaged: a lower number would let a copy in", async () => {
    const key = originKey(log.origin);
    const [row] = await shard.store.getMany([key]);
    const damaged = Buffer.from(row as Uint8Array);
    damaged[5]! -= 1;
    await shard.store.write([{ type: "put", key, value: damaged }], { sync: false });
    const error: unknown = await loadReplica(shard.store, LOG_ID, POSITIONS).catch(
      (reason: unknown) => reason,
    );
    expect(error).to.be.instanceOf(DamagedError);
  });
});
