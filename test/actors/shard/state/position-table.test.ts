/**
 * Position table: figures of each position, and their sums.
 */
import { expect } from "chai";
import fc from "fast-check";
import { PositionTable } from "../../../../actors/shard/state/position-table.js";
import type { Position, TimeMs } from "../../../../protocol/ids.js";

describe("position table", () => {
  it("knows when something may be due, as the least of all positions", () => {
    const action = fc.tuple(fc.nat(3), fc.nat(50), fc.boolean(), fc.boolean());
    fc.assert(
      fc.property(fc.array(action, { maxLength: 30 }), fc.nat(50), (actions, now) => {
        const table = new PositionTable(4);
        const dueFrom = [Infinity, Infinity, Infinity, Infinity];
        for (const [position, time, isAdded, isNothing] of actions) {
          const next = isNothing ? Infinity : time;
          if (isAdded) table.expiryAdded(position as Position, time as TimeMs);
          else table.setDueFrom(position as Position, next as TimeMs);
          dueFrom[position] = isAdded ? Math.min(dueFrom[position] as number, time) : next;
          expect(table.dueFromAll).to.equal(Math.min(...dueFrom));
        }
        const due = [0, 1, 2, 3].filter((position) => (dueFrom[position] as number) <= now);
        expect(table.duePositions(now as TimeMs)).to.deep.equal(due);
        expect(table.hasDue(now as TimeMs)).to.equal(due.length > 0);
      }),
    );
  });

  it("adds up its positions", () => {
    const table = new PositionTable(4);
    table.setCounts(1 as Position, 2, 30);
    table.setCounts(3 as Position, 1, 5);
    expect(table.totals()).to.deep.equal({ keys: 3, bytes: 35 });
  });
});
