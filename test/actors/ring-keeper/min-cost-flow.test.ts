/**
 * Minimum-cost flow, against trying all flows of small networks.
 */
import { expect } from "chai";
import fc from "fast-check";
import { FlowNetwork } from "../../../actors/ring-keeper/min-cost-flow.js";

interface Arc {
  readonly from: number;
  readonly to: number;
  readonly capacity: number;
  readonly cost: number;
}

describe("minimum-cost flow", () => {
  it("sends as much as can be sent, as cheaply as that can be done", () => {
    // The cheapest way first takes what the second unit needs; it has to be taken back.
    const network = new FlowNetwork();
    const [source, a, b, sink] = [0, 1, 2, 3].map(() => network.vertex()) as [0, 1, 2, 3];
    const arcs = [
      network.arc(source, a, 1, 1),
      network.arc(source, b, 1, 5),
      network.arc(a, b, 1, 1),
      network.arc(a, sink, 1, 9),
      network.arc(b, sink, 1, 1),
    ];
    expect(network.run(source, sink)).to.equal(2);
    expect(arcs.map((arc) => network.flowOf(arc))).to.deep.equal([1, 1, 0, 1, 1]);
  });

  it("sends nothing where there is no way", () => {
    const network = new FlowNetwork();
    const [source, sink] = [network.vertex(), network.vertex()];
    const back = network.arc(sink, source, 3);
    expect(network.run(source, sink)).to.equal(0);
    expect(network.flowOf(back)).to.equal(0);
  });

  it("is the cheapest of the largest flows, for any small network", () => {
    // Arcs lead to later vertices only, so that there is no cycle, of negative cost or not.
    const arc = fc
      .tuple(fc.nat(3), fc.nat(2), fc.integer({ min: 1, max: 2 }), fc.integer({ min: -2, max: 4 }))
      .map(([from, step, capacity, cost]): Arc => {
        return { from, to: Math.min(from + 1 + step, 4), capacity, cost };
      });
    const arcs = fc.array(arc, { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(arcs, (list) => {
        const network = new FlowNetwork();
        for (let vertex = 0; vertex < 5; vertex += 1) network.vertex();
        const made = list.map(({ from, to, capacity, cost }) =>
          network.arc(from, to, capacity, cost),
        );
        const sent = network.run(0, 4);
        const flows = made.map((each) => network.flowOf(each));
        expect(valueOf(list, flows)).to.equal(sent);
        expect([sent, costOf(list, flows)]).to.deep.equal(best(list));
      }),
      { numRuns: 200 },
    );
  });
});

/** What arrives at vertex 4; undefined if the flows are none. */
function valueOf(arcs: readonly Arc[], flows: readonly number[]): number | undefined {
  const left = [0, 0, 0, 0, 0];
  for (const [index, { from, to, capacity }] of arcs.entries()) {
    const flow = flows[index] as number;
    if (flow < 0 || flow > capacity) return undefined;
    left[from] = (left[from] as number) - flow;
    left[to] = (left[to] as number) + flow;
  }
  return left.slice(1, 4).every((each) => each === 0) ? left[4] : undefined;
}

function costOf(arcs: readonly Arc[], flows: readonly number[]): number {
  return arcs.reduce((sum, { cost }, index) => sum + cost * (flows[index] as number), 0);
}

/** The largest value, and the lowest cost that it has, of all flows there are. */
function best(arcs: readonly Arc[]): [value: number, cost: number] {
  let found: [number, number] = [-1, 0];
  const flows: number[] = [];
  const tryFrom = (index: number): void => {
    if (index < arcs.length) {
      for (let flow = 0; flow <= (arcs[index] as Arc).capacity; flow += 1) {
        flows[index] = flow;
        tryFrom(index + 1);
      }
      return;
    }
    const value = valueOf(arcs, flows);
    if (value === undefined || value < found[0]) return;
    const cost = costOf(arcs, flows);
    if (value > found[0] || cost < found[1]) found = [value, cost];
  };
  tryFrom(0);
  return found;
}
