/**
 * Operation core: what each operation does to a record, alone.
 */
import { encode } from "@msgpack/msgpack";
import { expect } from "chai";
import type { LogMessage } from "../../../../infra/log.js";
import { TTL_MAX_MS } from "../../../../protocol/limits.js";
import type { Operation } from "../../../../protocol/operation.js";
import { positionOf } from "../../../../protocol/position.js";
import {
  check,
  del,
  incr,
  limits,
  LogWriter,
  operation,
  patch,
  POSITIONS,
  set,
  START,
  touch,
} from "../../../support/log-writer.js";
import { ShardApplier, shownOutcome } from "../../../support/shard-applier.js";
import { checkStore, dump } from "../../../support/store-check.js";

describe("operation core", () => {
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

  describe("operations", () => {
    it("set, and set again at the position's next revision", async () => {
      expect(await apply(set("a", { n: 1 }))).to.deep.equal(["set 1 created"]);
      expect(await apply(set("a", { n: 2 }))).to.deep.equal(["set 2"]);
      expect(await applier.json("a")).to.deep.equal({ n: 2 });
    });

    it("meet conditions or are told the current revision", async () => {
      expect(await apply(set("a", 1, { ifRevision: 0 }))).to.deep.equal(["set 1 created"]);
      expect(await apply(set("a", 2, { ifRevision: 0 }))).to.deep.equal(["conflict revision 1"]);
      expect(await apply(set("b", 2, { ifRevision: 7 }))).to.deep.equal(["conflict revision 0"]);
      expect(await apply(del("a", { ifRevision: 1 }))).to.deep.equal(["del 2 existed"]);
      expect(await apply(check("a", 0), check("a", 1))).to.deep.equal([
        "check 0",
        "conflict revision 0",
      ]);
    });

    it("delete what is not there without taking a revision", async () => {
      expect(await apply(del("a"), set("a", 1))).to.deep.equal(["del 0", "set 1 created"]);
    });

    it("give the value before the write, if asked", async () => {
      const [, outcome] = await applier.outcomes(
        writer.operations(set("a", 1), set("a", 2, { returnPrevious: true })),
      );
      expect(outcome?.ok && outcome.done.previous?.revision).to.equal(1);
    });

    it("count from nothing, in the record itself and in a path of it", async () => {
      expect(await apply(incr("a", 5), incr("a", -2))).to.deep.equal([
        "incr 1 created 5",
        "incr 2 3",
      ]);
      expect(await apply(incr("o", 1, "stock.n"))).to.deep.equal(["incr 1 created 1"]);
      expect(await applier.json("o")).to.deep.equal({ stock: { n: 1 } });
    });

    it("touch sets an expiry and keeps all else; of nothing it is not-found", async () => {
      await apply(set("a", { n: 1 }));
      expect(await apply(touch("a", 5_000))).to.deep.equal([`touch 2 expires ${START + 5_000}`]);
      expect(await applier.json("a")).to.deep.equal({ n: 1 });
      expect(await apply(touch("b", 5_000))).to.deep.equal(["not-found"]);
    });

    it("patch from nothing, keep an expiry, and remove by null", async () => {
      expect(await apply(patch("a", { n: 1, m: 2 }, { ttl: 5_000 }))).to.deep.equal([
        `patch 1 created expires ${START + 5_000}`,
      ]);
      expect(await apply(patch("a", { m: null }))).to.deep.equal([
        `patch 2 expires ${START + 5_000}`,
      ]);
      expect(await applier.json("a")).to.deep.equal({ n: 1 });
    });

    it("patch and incr store the record's own format", async () => {
      const value = encode({ n: 1 });
      const contentType = "application/msgpack";
      await apply(operation({ verb: "set", key: "a", value, contentType, ttl: "never" }));
      await apply(patch("a", { m: 2 }), incr("a", 1, "n"));
      const record = await applier.record("a");
      expect(record?.contentType).to.equal(contentType);
      expect(Buffer.from(record?.value ?? [])).to.deep.equal(Buffer.from(encode({ n: 2, m: 2 })));
    });

    it("refuse to write down a number that they cannot read exactly", async () => {
      await apply(set("a", 0));
      await apply(json("set", "a", '{"n":12345678901234567890}'));
      expect(await apply(patch("a", { m: 1 }))).to.deep.equal(["unsupported"]);
      expect(await apply(incr("a", 1, "m"))).to.deep.equal(["unsupported"]);
      // The patch itself must be exact too.
      expect(await apply(json("patch", "b", '{"n":12345678901234567890}'))).to.deep.equal([
        "unsupported",
      ]);
      expect(await apply(json("patch", "b", '{"n":1,"n":2}'))).to.deep.equal(["unsupported"]);
    });

    it("refuse patch and incr of what has no structure", async () => {
      const value = Buffer.from("text");
      const contentType = "text/plain";
      await apply(operation({ verb: "set", key: "a", value, contentType, ttl: "never" }));
      expect(await apply(patch("a", {}), incr("a", 1))).to.deep.equal([
        "unsupported",
        "unsupported",
      ]);
    });

    it("hold the value limit against the result", async () => {
      const half = "x".repeat(limits.valueBytesMax / 2);
      expect(await apply(patch("a", { one: half }))).to.deep.equal(["patch 1 created"]);
      expect(await apply(patch("a", { two: half }))).to.deep.equal(["too-large"]);
      expect(await applier.json("a")).to.deep.equal({ one: half });
    });

    it("hold the index limits, and change nothing beyond them", async () => {
      const many = Object.fromEntries(Array.from({ length: 257 }, (_, n) => [`m${n}`, n]));
      const deep = JSON.parse(`${'{"o":'.repeat(9)}1${"}".repeat(9)}`) as unknown;
      const long = { ["p".repeat(513)]: 1 };
      const refusals = await apply(set("a", many), set("a", deep), set("a", long));
      expect(refusals).to.deep.equal(["limit-exceeded", "limit-exceeded", "limit-exceeded"]);
      expect(await applier.record("a")).to.equal(undefined);
    });

    it("refuse what only a hostile proposer would have let pass, and go on", async () => {
      expect(
        await apply(
          incr("a", Number.NaN),
          incr("a", 1, "\\"),
          touch("a", TTL_MAX_MS + 1),
          set("a", 1, { ttl: 2 ** 48 - 1 }),
          json("set", "a", "{"),
        ),
      ).to.deep.equal(["bad-request", "bad-request", "not-found", "bad-request", "bad-request"]);
    });

    it("change index and type with the content, with all types under one path", async () => {
      const values = [1, "one", true, null, [1, "one", [2]], { deep: 1 }, 1.5, "x".repeat(300)];
      for (const [index, value] of values.entries()) {
        await apply(set(`k${index}`, { same: value }), set("k", { same: value }));
        await checkStore(applier.store);
      }
      const contentType = "application/octet-stream";
      await apply(
        operation({ verb: "set", key: "k", value: Buffer.of(1), contentType, ttl: "never" }),
      );
      expect((await applier.record("k"))?.contentType).to.equal(contentType);
      expect(
        (await dump(applier.store, "i")).filter((row) => row.includes("isame")),
      ).to.have.length(
        // The ARRAY marker stands beside its elements; deep's OBJECT beside same.deep.
        values.length + 2 + 1,
      );
    });

    it("refuse a key that is not in its position, and read its record where it is", async () => {
      await apply(set("a", { n: 1 }));
      const position = (positionOf("a", POSITIONS) + 1) % POSITIONS;
      expect(await apply(set("a", 2, { position }), set("a", { n: 3 }))).to.deep.equal([
        "bad-request",
        "set 2",
      ]);
    });
  });
});

function json(verb: "set" | "patch", key: string, value: string): Operation {
  const contentType = "application/json";
  return operation({ verb, key, value: Buffer.from(value), contentType, ttl: "never" });
}
