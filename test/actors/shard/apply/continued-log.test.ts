/**
 * Logs that go on from another one (rule L3), and logs whose loss has been proved before: what
 * becomes of each store, by how far it had applied the log before.
 */
import { expect } from "chai";
import { KvError } from "../../../../protocol/errors.js";
import type { LogId, Sequence } from "../../../../protocol/ids.js";
import { chainHex, decodeEntry, type LogParent } from "../../../../protocol/log/entry.js";
import { missingLog } from "../../../../protocol/log/missing-log.js";
import type { Result } from "../../../../protocol/reply/result.js";
import {
  entryBytes,
  genesisBytes,
  incr,
  LOG_ID,
  set,
  zeroOrigin,
} from "../../../support/log-writer.js";
import { seededChance } from "../../../support/manual-clock.js";
import { MemoryStream } from "../../../support/memory-log.js";
import { MemoryNode, MemoryShard } from "../../../support/memory-shard.js";
import { appliedRow, dump } from "../../../support/store-check.js";

const NEW_ID = "00000000000000b2" as LogId;

describe("a log that goes on from another", () => {
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

  it("is taken up by a store that stands where it begins, and nothing is lost", async () => {
    const before = await dumped("n1");
    const stream = logAfter(place);
    const node = start("n1", stream);
    await shard.clock.runUntil(() => node.replica.phase === "serving");
    expect(node.replica.status().sequenceApplied).to.equal(place.sequence + 1);
    expect(value(await shard.get("a"))).to.equal("5");
    await shard.write(incr("a", 1));
    expect(value(await shard.get("a"))).to.equal("6");
    // A request of before is answered by its outcome of before.
    const repeated = await shard.write(set("kept", 1, { request: "request-1" }));
    expect(repeated).to.have.nested.property("done.revision", 1);
    expect(before.length).to.be.above(0);
    expect(shard.stream.last).to.equal(place.sequence);
    await shard.stop(node);
    expect((await rowOf("n1"))?.logId).to.equal(NEW_ID);
    // And again, now as the store of that log.
    const again = start("n1", stream);
    await shard.clock.runUntil(() => again.replica.phase === "serving");
    expect(value(await shard.get("a"))).to.equal("6");
  });

  it("changes nothing of the records and positions of the store that takes it up", async () => {
    const before = await dumped("n1", "dinx");
    const node = start("n1", logAfter(place));
    await shard.clock.runUntil(() => node.replica.phase === "serving");
    await shard.stop(node);
    expect((await rowOf("n1"))?.logId).to.equal(NEW_ID);
    expect(await dumped("n1", "dinx")).to.deep.equal(before);
  });

  const unfit: [string, (parent: LogParent) => LogParent, string][] = [
    ["behind its begin", (p) => ({ ...p, sequence: (p.sequence + 3) as Sequence }), "continued"],
    ["past its begin", (p) => ({ ...p, sequence: (p.sequence - 1) as Sequence }), "continued"],
    ["of another past", (p) => ({ ...p, chain: chainHex(1n) }), "continued"],
    ["of another log", (p) => ({ ...p, logId: "00000000000000ee" as LogId }), "unknown"],
  ];

  for (const [what, changed, reason] of unfit) {
    it(`stops a store ${what}, and leaves it as it was`, async () => {
      const before = await dumped("n1");
      const node = start("n1", logAfter(place, changed));
      await shard.clock.resolve(node.ended);
      expect(node.failure).to.equal(undefined);
      expect(node.replica.stopReason).to.equal(`log-${reason}`);
      await node.store.close();
      expect(await dumped("n1")).to.deep.equal(before);
    });
  }

  it("stops an empty store, which has to be filled first", async () => {
    const node = start("n2", logAfter(place));
    await shard.clock.resolve(node.ended);
    expect(node.replica.stopReason).to.equal("log-trimmed");
    expect(node.replica.finding([])).to.equal(null);
  });

  it("stops a store while it has lost its first entry", async () => {
    const stream = new MemoryStream({
      clock: shard.clock,
      id: NEW_ID,
      first: place.sequence + 1,
    });
    const node = start("n1", stream);
    await shard.clock.resolve(node.ended);
    expect(node.replica.stopReason).to.equal("log-shorter");
    expect(stream.last).to.equal(place.sequence);
  });

  async function dumped(name: string, kinds = "adinoqx"): Promise<string[]> {
    const store = shard.disk(name).open();
    const rows = await dump(store, kinds);
    await store.close();
    return rows;
  }

  async function rowOf(name: string): ReturnType<typeof appliedRow> {
    const store = shard.disk(name).open();
    const row = await appliedRow(store);
    await store.close();
    return row;
  }

  function logAfter(
    { sequence, chain }: { sequence: Sequence; chain: bigint },
    changed = (parent: LogParent): LogParent => parent,
  ): MemoryStream {
    const parent = changed({ logId: LOG_ID, sequence, chain: chainHex(chain) });
    const stream = new MemoryStream({
      clock: shard.clock,
      id: NEW_ID,
      first: parent.sequence + 1,
    });
    stream.take(genesisBytes({ logId: NEW_ID, parent }));
    return stream;
  }

  function start(name: string, stream: MemoryStream): MemoryNode {
    const { clock, network } = shard;
    const disk = shard.disk(name);
    const common = { name, clock, network, disk, chance: seededChance(3) };
    return new MemoryNode({ ...common, log: stream.open() });
  }
});

describe("a log that lost entries", () => {
  let shard: MemoryShard;
  let held: Sequence;

  beforeEach(async () => {
    shard = new MemoryShard();
    const [one] = (await shard.startServing("n1")) as [MemoryNode];
    for (let number = 0; number < 5; number += 1) await shard.write(incr("a", 1));
    held = one.replica.status().sequenceApplied;
    await shard.stop(one);
  });

  it("does not grow with each start of a replica that has stopped for it", async () => {
    shard.stream.truncate(held - 3);
    for (let start = 0; start < 6; start += 1)
      expect(await reasonAtStart()).to.equal("log-shorter");
    // One entry proves the loss, whoever looks at it later.
    expect(shard.stream.last).to.equal(held - 2);
    const proof = decodeEntry(shard.stream.entries.at(-1)!.data);
    expect(proof).to.include({ kind: "barrier", basisSequence: held });
  });

  it("is shorter also where the proof stands at the last entry that the store has", async () => {
    shard.stream.truncate(held - 1);
    expect(await reasonAtStart()).to.equal("log-shorter");
    expect(shard.stream.last).to.equal(held);
    expect(await reasonAtStart()).to.equal("log-shorter");
    expect(shard.stream.last).to.equal(held);
  });

  it("is not hidden by others who write on past what the store has", async () => {
    const others = Array.from({ length: 9 }, (_, number) =>
      entryBytes({ kind: "barrier" }, zeroOrigin, number),
    );
    shard.stream.replace(held - 2, others);
    expect(shard.stream.last).to.be.above(held);
    expect(await reasonAtStart()).to.equal("log-diverged");
  });

  it("is found out though it is full", async () => {
    shard.stream.truncate(held - 2);
    shard.stream.bytesMax = shard.stream.bytes;
    expect(await reasonAtStart()).to.equal("log-shorter");
  });

  it("is trimmed where it begins after the last entry applied: nothing to compare", async () => {
    shard.stream.trim(held + 1);
    expect(shard.stream.first).to.equal(held + 1);
    expect(await reasonAtStart()).to.equal("log-trimmed");
  });

  it("stops its replica also when it is gone altogether, but not at once", async () => {
    const [node] = (await shard.startServing("n1")) as [MemoryNode];
    const log = shard.log("n1");
    const gone = new KvError("unavailable", "stream not found", missingLog);
    log.state = () => Promise.reject(gone);
    log.tail = () => Promise.reject(gone);
    await shard.clock.advance(5_000);
    expect(node.replica.phase).to.equal("catching-up");
    await shard.clock.advance(10_000);
    expect(node.replica.status().reason).to.match(/^log-missing: /);
    expect(node.replica.finding([])?.keys).to.equal(1);
  });

  it("waits for a log that does not answer, however long", async () => {
    const [node] = (await shard.startServing("n1")) as [MemoryNode];
    shard.log("n1").disconnect();
    await shard.clock.advance(60_000);
    expect(node.replica.phase).to.equal("catching-up");
    shard.log("n1").reconnect();
    await shard.clock.runUntil(() => node.replica.phase === "serving");
  });

  async function reasonAtStart(): Promise<string | undefined> {
    const node = shard.start("n1");
    await shard.clock.resolve(node.ended);
    await node.store.close();
    return node.replica.stopReason;
  }
});

function value(result: Result): string {
  if (!("record" in result)) throw new Error(JSON.stringify(result));
  return Buffer.from(result.record.value).toString();
}
