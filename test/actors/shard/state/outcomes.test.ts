/**
 * Outcomes: the requests that a shard remembers, and for how long.
 */
import { expect } from "chai";
import fc from "fast-check";
import {
  BUCKET_MS,
  fingerprint,
  isRemembered,
  Outcomes,
  type OutcomePlace,
} from "../../../../actors/shard/state/outcomes.js";
import type { Position, Sequence, TimeMs } from "../../../../protocol/ids.js";
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

function placeOf(sequence: number, index: number): OutcomePlace {
  return { sequence: sequence as Sequence, index };
}

function printOf(number: number): bigint {
  return fingerprint(0 as Position, { id: `${number}`, index: 0 });
}
