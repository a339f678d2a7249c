/**
 * Row times: when outcome rows may go.
 */
import { expect } from "chai";
import { BUCKET_MS } from "../../../../actors/shard/state/outcomes.js";
import { RowTimes } from "../../../../actors/shard/state/row-times.js";
import type { Sequence, TimeMs } from "../../../../protocol/ids.js";

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
