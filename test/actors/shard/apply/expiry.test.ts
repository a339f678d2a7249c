/**
 * Expiry: which records go with an entry, and when.
 */
import { expect } from "chai";
import type { LogMessage } from "../../../../infra/log.js";
import type { Position } from "../../../../protocol/ids.js";
import { EXPIRE_PER_ENTRY_MAX } from "../../../../protocol/limits.js";
import type { Operation } from "../../../../protocol/operation.js";
import { positionOf } from "../../../../protocol/position.js";
import { check, LogWriter, set, START, touch } from "../../../support/log-writer.js";
import { ShardApplier, shownOutcome } from "../../../support/shard-applier.js";
import { checkStore, dump } from "../../../support/store-check.js";

describe("expiry of records", () => {
  let writer: LogWriter;
  let applier: ShardApplier;

  beforeEach(async () => {
    writer = new LogWriter();
    applier = new ShardApplier();
    await applier.apply(writer.messages);
  });

  afterEach(() => checkStore(applier.store));

  const apply = (...operations: Operation[]): Promise<string[]> =>
    told(writer.operations(...operations));

  async function told(message: LogMessage): Promise<string[]> {
    return (await applier.outcomes(message)).map(shownOutcome);
  }

  describe("expiry", () => {
    it("goes by log time, and its going takes a revision", async () => {
      await apply(set("a", { n: 1 }, { ttl: 1_000 }));
      writer.time += 999;
      expect(await apply(check("a", 1))).to.deep.equal(["check 1"]);
      writer.time += 1;
      await told(writer.barrier());
      expect(await applier.record("a")).to.equal(undefined);
      expect(await apply(set("a", 1))).to.deep.equal(["set 3 created"]);
    });

    it("comes before the entry's operations, and is not undone by a refusal", async () => {
      await apply(set("a", { n: 1 }, { ttl: 1_000 }));
      writer.time += 1_000;
      expect(await apply(set("a", 2, { ifRevision: 1 }))).to.deep.equal(["conflict revision 0"]);
      expect(await applier.record("a")).to.equal(undefined);
    });

    it("does not follow a clock that went back", async () => {
      await apply(set("a", 1, { ttl: 5_000 }));
      writer.time -= 60_000;
      expect(await apply(touch("a", 1_000))).to.deep.equal([`touch 2 expires ${START + 1_000}`]);
    });

    it("does not come for a record whose expiry was taken away or put off", async () => {
      await apply(set("a", 1, { ttl: 1_000 }), set("b", 1, { ttl: 1_000 }));
      await apply(touch("a", "never"), touch("b", 60_000));
      writer.time += 30_000;
      expect(await apply(check("a", 2), check("b", 2))).to.deep.equal(["check 2", "check 2"]);
    });

    it("is the same when several entries would share a batch", async () => {
      const first = writer.operations(set("a", 1, { ttl: 1_000 }), set("b", 1, { ttl: 5_000 }));
      writer.time += 1_500;
      const second = writer.operations(set("a", 2, { ifRevision: 1 }));
      writer.time += 4_000;
      const results = await applier.apply([first, second, writer.operations(check("b", 0))]);
      expect(results.map(({ outcomes }) => outcomes.map(shownOutcome))).to.deep.equal([
        ["set 1 created expires 1700000001000", "set 1 created expires 1700000005000"],
        ["conflict revision 0"],
        ["check 0"],
      ]);
    });

    it("removes a bounded number with each entry, and counts all as absent", async () => {
      const many = Array.from({ length: EXPIRE_PER_ENTRY_MAX + 5 }, (_, n) => `{t}${n}`);
      await apply(...many.map((key) => set(key, 1, { ttl: 1_000 })));
      writer.time += 1_000;
      await told(writer.barrier());
      expect(await checkStore(applier.store)).to.have.property("size", 5);
      const [left] = (await checkStore(applier.store)).keys();
      expect(await apply(check(left as string, 0))).to.deep.equal(["check 0"]);
      expect(await checkStore(applier.store)).to.have.property("size", 0);
    });

    it("works in the last position there can be", async () => {
      applier = new ShardApplier(65_536);
      const positions = [65_535 as Position];
      writer = new LogWriter({ positionCount: 65_536, positions });
      await applier.apply(writer.messages);
      const key = keyIn(65_535, 65_536);
      const expiring = { ...set(key, 1, { ttl: 1_000 }), position: 65_535 as Position };
      await apply(expiring);
      writer.time += 1_000;
      await told(writer.barrier());
      expect(await applier.record(key)).to.equal(undefined);
      expect(await dump(applier.store, "x")).to.deep.equal([]);
    });
  });
});

function keyIn(position: number, positionCount: number): string {
  for (let number = 0; ; number += 1) {
    if (positionOf(`k${number}`, positionCount) === position) return `k${number}`;
  }
}
