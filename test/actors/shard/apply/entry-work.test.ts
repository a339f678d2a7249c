/**
 * Entry work: groups of operations, and requests that come again.
 */
import { expect } from "chai";
import type { LogMessage } from "../../../../infra/log.js";
import type { Operation } from "../../../../protocol/operation.js";
import { positionOf } from "../../../../protocol/position.js";
import {
  check,
  del,
  incr,
  limits,
  LogWriter,
  POSITIONS,
  set,
  START,
} from "../../../support/log-writer.js";
import { ShardApplier, shownOutcome } from "../../../support/shard-applier.js";
import { checkStore } from "../../../support/store-check.js";

describe("entry work", () => {
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

  const applyAtomic = (...group: Operation[]): Promise<string[]> => told(writer.groups(group));

  async function told(message: LogMessage): Promise<string[]> {
    return (await applier.outcomes(message)).map(shownOutcome);
  }

  describe("a shard that does not own all positions", () => {
    it("says that the position moved, and remembers nothing of the request", async () => {
      const [mine, foreign] = ["a", "b"];
      expect(positionOf("a", POSITIONS)).to.not.equal(positionOf("b", POSITIONS));
      writer = new LogWriter({ positions: [positionOf("a", POSITIONS)] });
      applier = new ShardApplier();
      await applier.apply(writer.messages);
      expect(await apply(set(mine, 1), set(foreign, 1, { request: "r" }))).to.deep.equal([
        "set 1 created",
        "unavailable moved",
      ]);
      expect(applier.state.outcomes.count).to.equal(0);
      expect(await apply(set(foreign, 2, { request: "r" }))).to.deep.equal(["unavailable moved"]);
    });
  });

  describe("atomic groups", () => {
    const [one, two, three] = ["{t}1", "{t}2", "{t}3"];

    it("take effect together, later operations seeing the earlier", async () => {
      const outcomes = await applyAtomic(set(one, 1), incr(one, 1), set(two, 2), check(two, 3));
      expect(outcomes).to.deep.equal(["set 1 created", "incr 2 2", "set 3 created", "check 3"]);
      expect(await applier.json(one)).to.equal(2);
    });

    it("change nothing if one is refused, and all are told which", async () => {
      await apply(set(one, 1));
      const refused = ["conflict revision 0 index 2", "conflict revision 0 index 2"];
      expect(
        await applyAtomic(set(one, 2), del(one), set(two, 1, { ifRevision: 5 })),
      ).to.deep.equal([...refused, refused[0]]);
      expect(await applier.json(one)).to.equal(1);
      expect(await apply(set(three, 1))).to.deep.equal(["set 2 created"]);
    });

    it("are refused across positions", async () => {
      expect(await applyAtomic(set("a", 1), set("b", 1))).to.deep.equal([
        "bad-request index 1",
        "bad-request index 1",
      ]);
    });

    it("are done once, and told as a whole when they are repeated", async () => {
      const group = (n: number): Operation[] => [
        set(one, n, { request: { id: "r", index: 0 } }),
        incr(two, 1, undefined, { request: { id: "r", index: 1 } }),
      ];
      const first = await applyAtomic(...group(1));
      expect(await applyAtomic(...group(1))).to.deep.equal(first);
      expect(await applier.json(two)).to.equal(1);
      expect(await applyAtomic(...group(2))).to.deep.equal([
        "bad-request index 0",
        "bad-request index 0",
      ]);
      const longer = set(three, 1, { request: { id: "r", index: 2 } });
      expect(await applyAtomic(...group(1), longer)).to.deep.equal(Array(3).fill("bad-request"));
    });
  });

  describe("requests with an id", () => {
    const request = "r1";

    it("are done once: in one entry, across entries, and after a restart", async () => {
      const counted = incr("a", 1, undefined, { request });
      expect(await apply(counted, counted)).to.deep.equal(["incr 1 created 1", "incr 1 created 1"]);
      expect(await apply(counted)).to.deep.equal(["incr 1 created 1"]);
      applier.restart();
      expect(await apply(counted)).to.deep.equal(["incr 1 created 1"]);
      expect(await applier.json("a")).to.equal(1);
    });

    it("are done once also when their entries share a batch", async () => {
      const counted = incr("a", 1, undefined, { request });
      await applier.apply([writer.operations(counted), writer.operations(counted)]);
      expect(await applier.json("a")).to.equal(1);
    });

    it("get a refusal again as it was, though it would be met now", async () => {
      const conditional = set("a", 2, { ifRevision: 1, request });
      expect(await apply(conditional)).to.deep.equal(["conflict revision 0"]);
      await apply(set("a", 1));
      expect(await apply(conditional)).to.deep.equal(["conflict revision 0"]);
      applier.restart();
      expect(await apply(conditional)).to.deep.equal(["conflict revision 0"]);
    });

    it("are told without the value before the write when repeated", async () => {
      await apply(set("a", 1));
      const asking = set("a", 2, { returnPrevious: true, request });
      const [first] = await applier.outcomes(writer.operations(asking));
      expect(first?.ok && first.done.previous?.revision).to.equal(1);
      const [again] = await applier.outcomes(writer.operations(asking));
      expect(again?.ok && again.done.previous).to.equal(undefined);
    });

    it("must not be used for something else, on the same key", async () => {
      await apply(set("a", 1, { request }));
      expect(await apply(set("a", 2, { request }))).to.deep.equal(["bad-request"]);
      expect(await apply(set("a", 1, { request: { id: request, index: 1 } }))).to.deep.equal([
        "set 2",
      ]);
    });

    it("are forgotten when the window has passed, by log time", async () => {
      await apply(set("a", 1, { request }));
      writer.time += 60_000;
      expect(await apply(set("a", 1, { request }))).to.deep.equal(["set 1 created"]);
      writer.time += 20_000;
      await told(writer.barrier());
      expect(applier.state.outcomes.count).to.equal(0);
      expect(await apply(set("a", 1, { request }))).to.deep.equal(["set 2"]);
    });

    it("that are UUIDv7 are refused when too old or too far ahead", async () => {
      const at = (ms: number): Operation => set("a", 1, { request: uuidV7(START + ms) });
      const outcomes = await apply(at(-60_001), at(-60_000), at(10_000), at(10_001));
      expect(outcomes).to.deep.equal(["in-doubt", "set 1 created", "set 2", "bad-request"]);
      const [refusal] = await applier.outcomes(writer.operations(at(-60_001)));
      expect(refusal?.ok === false && refusal.error.retryable).to.equal(false);
    });

    it("are overloaded beyond what is remembered, until the window has passed", async () => {
      writer = new LogWriter({ limits: { ...limits, outcomesMax: 2 } });
      applier = new ShardApplier();
      await applier.apply(writer.messages);
      const at = (id: string): Operation => set("a", 1, { request: id });
      await apply(at("1"), at("2"));
      expect(await apply(at("3"), at("2"), set("a", 1))).to.deep.equal([
        "overloaded",
        "set 2",
        "set 3",
      ]);
      applier.restart();
      expect(await apply(at("3"))).to.deep.equal(["overloaded"]);
      writer.time += 80_000;
      await told(writer.barrier());
      expect(await apply(at("3"))).to.deep.equal(["set 4"]);
    });
  });
});

function uuidV7(ms: number): string {
  const digits = ms.toString(16).padStart(12, "0");
  return `${digits.slice(0, 8)}-${digits.slice(8)}-7000-8000-000000000000`;
}
