/**
 * Random logs through the applier's core: the store is a function of the records, whatever the
 * grouping and wherever the process was restarted, and the records are those of a simple model.
 */
import { expect } from "chai";
import fc from "fast-check";
import type { LogMessage } from "../../../../infra/log.js";
import { decodeEntry, isEntry } from "../../../../protocol/log/entry.js";
import type { Outcome } from "../../../../protocol/operation.js";
import { anyLog } from "../../../support/log-arbitrary.js";
import { limits, POSITIONS } from "../../../support/log-writer.js";
import { anyGroup } from "../../../support/operations-arbitrary.js";
import { ShardApplier } from "../../../support/shard-applier.js";
import { ShardModel, type ModelOutcome } from "../../../support/shard-model.js";
import { checkStore, dump } from "../../../support/store-check.js";

/** How the log is cut: sizes of what is handed over, and where the process restarts. */
const anyCuts = fc.array(
  fc.record({ size: fc.integer({ min: 1, max: 9 }), groupMax: fc.nat(4), restart: fc.boolean() }),
  { maxLength: 12 },
);

describe("applier core, on random logs", () => {
  it("keeps index, expiry rows, counts and digests a function of the records", async () => {
    await fc.assert(
      fc.asyncProperty(anyLog(), async (log) => {
        const applier = new ShardApplier();
        await applier.apply(log);
        await checkStore(applier.store);
      }),
      { numRuns: 150 },
    );
  });

  it("comes to the same store and outcomes in any grouping and after any restart", async () => {
    await fc.assert(
      fc.asyncProperty(anyLog(), anyCuts, async (log, cuts) => {
        const one = new ShardApplier();
        await one.apply(log, 1);
        const other = new ShardApplier();
        let done = 0;
        for (const { size, groupMax, restart } of cuts) {
          await other.apply(log.slice(done, done + size), groupMax + 1);
          done = Math.min(done + size, log.length);
          if (restart) other.restart();
        }
        await other.apply(log.slice(done));
        expect(await dump(other.store, "adinoqx")).to.deep.equal(await dump(one.store, "adinoqx"));
        expect(other.results.map(seen)).to.deep.equal(one.results.map(seen));
      }),
      { numRuns: 150 },
    );
  });

  it("comes to the records and outcomes of a simple model", async () => {
    const isModelled = anyGroup.filter((group) =>
      group.every((each) => !("contentType" in each) || each.contentType !== "application/msgpack"),
    );
    await fc.assert(
      fc.asyncProperty(anyLog(isModelled), async (log) => {
        const applier = new ShardApplier();
        await applier.apply(log);
        const model = new ShardModel(POSITIONS, limits.valueBytesMax);
        const outcomes = log.map((message) => modelled(model, message));
        expect(applier.results.map((result) => result.outcomes.map(summary))).to.deep.equal(
          outcomes.map((each) => each.map(({ ok, error, revision }) => ({ ok, error, revision }))),
        );
        const records = await checkStore(applier.store);
        expect([...records.keys()].toSorted()).to.deep.equal([...model.records.keys()].toSorted());
        for (const [key, { value, ...record }] of records) {
          const found = { ...record, value: Buffer.from(value).toString("latin1") };
          expect(found).to.deep.equal(model.records.get(key));
        }
      }),
      { numRuns: 300 },
    );
  });
});

function modelled(model: ShardModel, { data, time }: LogMessage): ModelOutcome[] {
  const entry = decodeEntry(data);
  return model.apply(isEntry(entry) ? entry : undefined, time) ?? [];
}

function summary(outcome: Outcome): Pick<ModelOutcome, "ok" | "error" | "revision"> {
  return outcome.ok
    ? { ok: true, error: undefined, revision: outcome.done.revision }
    : { ok: false, error: outcome.error.kind, revision: undefined };
}

/** What is the same in memory and read back from a row. */
function seen(result: ShardApplier["results"][number]): unknown {
  const outcomes = result.outcomes.map((outcome) =>
    outcome.ok ? outcome.done : outcome.error.toBody(),
  );
  return { ...result, outcomes };
}
