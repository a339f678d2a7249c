/**
 * What a shard remembers of its past: outcomes of requests, origins, chains, and rows that may go.
 */
import { expect } from "chai";
import fc from "fast-check";
import { CHAIN_HISTORY, Chains } from "../../../../actors/shard/state/chains.js";
import { ORIGIN_KEPT_MS, Origins } from "../../../../actors/shard/state/origins.js";
import {
  BUCKET_MS,
  fingerprint,
  isRemembered,
  Outcomes,
  type OutcomePlace,
} from "../../../../actors/shard/state/outcomes.js";
import { RowTimes } from "../../../../actors/shard/state/row-times.js";
import type { Origin, Position, Sequence, TimeMs } from "../../../../protocol/ids.js";
import { REQUEST_WINDOW_MS } from "../../../../protocol/limits.js";

describe("outcomes", () => {
  it("find what a Map would find, within the window, and forget it after", () => {
    // Few fingerprints of few low bits, so that they meet in the table's cells.
    const print = fc.nat(20).map((number) => BigInt(number) << 40n);
    const step = fc.tuple(print, fc.nat(4_095), fc.integer({ min: 0, max: 9_000 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const outcomes = new Outcomes();
        const model: { print: bigint; place: OutcomePlace; time: number }[] = [];
        let now = 0;
        for (const [index, [each, place, ms]] of steps.entries()) {
          now += ms;
          const row = { print: each, time: now, place: placeOf(index + 1, place) };
          outcomes.add(row.print, row.place, now as TimeMs);
          model.push(row);
          outcomes.advance(now as TimeMs);
          const kept = model.filter(({ time }) => isRemembered(time as TimeMs, now as TimeMs));
          expect(outcomes.count).to.equal(kept.length);
          const found = kept.filter((other) => other.print === each);
          expect(outcomes.lookup(each)).to.have.deep.members(found.map((other) => other.place));
        }
      }),
      { numRuns: 100 },
    );
  });

  it("remember for the window at least, and a bucket longer at most", () => {
    const at = (ms: number): boolean => isRemembered(0 as TimeMs, ms as TimeMs);
    expect(at(REQUEST_WINDOW_MS)).to.equal(true);
    expect(at(REQUEST_WINDOW_MS + BUCKET_MS - 1)).to.equal(true);
    expect(at(REQUEST_WINDOW_MS + BUCKET_MS)).to.equal(false);
  });

  it("hold many in one bucket", () => {
    const outcomes = new Outcomes();
    for (let number = 1; number <= 20_000; number += 1) {
      outcomes.add(printOf(number), placeOf(number, number % 4_096), 5 as TimeMs);
    }
    for (let number = 1; number <= 20_000; number += 97) {
      expect(outcomes.lookup(printOf(number))).to.deep.equal([placeOf(number, number % 4_096)]);
    }
    expect(outcomes.lookup(printOf(20_001))).to.deep.equal([]);
  });

  it("tell requests apart by position, id and index", () => {
    const prints = [
      fingerprint(1 as Position, { id: "2", index: 3 }),
      fingerprint(1 as Position, { id: "23", index: 3 }),
      fingerprint(1 as Position, { id: "3", index: 2 }),
      fingerprint(12 as Position, { id: "2", index: 3 }),
      fingerprint(1 as Position, { id: "3 2", index: 3 }),
    ];
    expect(new Set(prints).size).to.equal(prints.length);
  });
});

describe("origins", () => {
  const one = "01".repeat(16) as Origin;
  const now = 0 as TimeMs;

  it("accept numbers one by one after an open, and any higher fence", () => {
    const origins = new Origins();
    expect(origins.accept("barrier", one, 1, now)).to.equal(false);
    expect(origins.accept("fence", one, 9, now)).to.equal(false);
    expect(origins.accept("open", one, 1, now)).to.equal(true);
    expect(origins.accept("open", one, 2, now)).to.equal(false);
    expect(origins.accept("operations", one, 1, now)).to.equal(false);
    expect(origins.accept("operations", one, 3, now)).to.equal(false);
    expect(origins.accept("operations", one, 2, now)).to.equal(true);
    expect(origins.accept("fence", one, 2, now)).to.equal(false);
    expect(origins.accept("fence", one, 5, now)).to.equal(true);
    expect(origins.accept("operations", one, 3, now)).to.equal(false);
    expect(origins.accept("barrier", one, 6, now)).to.equal(true);
    expect(origins.accept("genesis", one, 7, now)).to.equal(false);
  });

  it("that were silent for too long are unknown, whether or not they were forgotten", () => {
    const origins = new Origins();
    origins.accept("open", one, 1, now);
    const edge = ORIGIN_KEPT_MS as TimeMs;
    expect(origins.get(one, edge)?.number).to.equal(1);
    expect(origins.forget(edge)).to.deep.equal([]);
    const late = (edge + 1) as TimeMs;
    expect(origins.accept("barrier", one, 2, late)).to.equal(false);
    expect(origins.forget(late)).to.deep.equal([one]);
    expect(origins.count).to.equal(0);
    expect(origins.accept("open", one, 1, late)).to.equal(true);
  });
});

describe("chains", () => {
  it("keep the last ones, and know none before or after", () => {
    const chains = new Chains();
    const last = CHAIN_HISTORY + 10;
    for (let number = 0; number <= last; number += 1) {
      chains.add(number as Sequence, BigInt(number));
    }
    expect(chains.get(last as Sequence)).to.equal(BigInt(last));
    expect(chains.get((last - CHAIN_HISTORY + 1) as Sequence)).to.equal(11n);
    expect(chains.get((last - CHAIN_HISTORY) as Sequence)).to.equal(undefined);
    expect(chains.get((last + 1) as Sequence)).to.equal(undefined);
  });

  it("begin anew with a sequence that does not follow", () => {
    const chains = new Chains();
    chains.add(0 as Sequence, 0n);
    chains.add(50 as Sequence, 5n);
    expect(chains.get(0 as Sequence)).to.equal(undefined);
    expect(chains.get(50 as Sequence)).to.equal(5n);
  });
});

describe("row times", () => {
  const all = 1_000_000 as Sequence;

  it("let rows go in order, once the window has passed them and the relay too", () => {
    const rows = new RowTimes();
    for (let number = 1; number <= 10; number += 1) {
      rows.add(number as Sequence, (number * BUCKET_MS) as TimeMs);
    }
    const at = (bucket: number): TimeMs => (bucket * BUCKET_MS) as TimeMs;
    expect(rows.forget(at(7), all)).to.deep.equal([]);
    expect(rows.forget(at(9), 2 as Sequence)).to.deep.equal([1]);
    expect(rows.forget(at(9), all)).to.deep.equal([2]);
    expect(rows.forget(at(1_000), all)).to.deep.equal([3, 4, 5, 6, 7, 8, 9]);
    expect(rows.floor).to.equal(10);
  });

  it("let many rows go a few at a time", () => {
    const rows = new RowTimes();
    for (let number = 1; number <= 2_000; number += 1) rows.add(number as Sequence, 0 as TimeMs);
    rows.add(2_001 as Sequence, (20 * BUCKET_MS) as TimeMs);
    const sizes: number[] = [];
    for (;;) {
      const going = rows.forget((20 * BUCKET_MS) as TimeMs, all);
      if (going.length === 0) break;
      sizes.push(going.length);
    }
    expect(sizes).to.deep.equal([512, 512, 512, 464]);
  });

  it("begin at the first row that is there", () => {
    const rows = new RowTimes();
    rows.add(40 as Sequence, 0 as TimeMs);
    rows.add(41 as Sequence, (20 * BUCKET_MS) as TimeMs);
    expect(rows.forget((20 * BUCKET_MS) as TimeMs, all)).to.deep.equal([40]);
  });
});

function placeOf(sequence: number, index: number): OutcomePlace {
  return { sequence: sequence as Sequence, index };
}

function printOf(number: number): bigint {
  return fingerprint(0 as Position, { id: `${number}`, index: 0 });
}
