/**
 * The plan of faults: what a seed fixes, and what every plan has.
 */
import { expect } from "chai";
import { seededChance } from "../support/manual-clock.js";
import { describeRound, faultKinds, planFaults, type Round } from "./fault-plan.js";

const NODES = ["n1", "n2", "n3"];

describe("the plan of faults", () => {
  it("is the same for one seed, and another for another", () => {
    const told = (seed: number): string => roundsOf(seed, 20).map(describeRound).join("; ");
    expect(told(7)).to.equal(told(7));
    expect(told(7)).to.not.equal(told(8));
  });

  it("has every kind before any kind alone comes again", () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const firsts = roundsOf(seed, faultKinds.length).map(([first]) => first?.kind);
      expect(new Set(firsts).size).to.equal(faultKinds.length);
    }
  });

  it("has two faults at once now and then, never of one kind, one node or nats-server", () => {
    const rounds = Array.from({ length: 20 }, (_, seed) => roundsOf(seed, 40)).flat();
    const pairs = rounds.filter(({ length }) => length === 2);
    expect(pairs.length).to.equal(rounds.length / 4);
    for (const [one, other] of pairs) {
      expect(one?.kind).to.not.equal(other?.kind);
      const servers = [one, other].filter((fault) => fault?.kind.endsWith("nats-server"));
      expect(servers.length).to.be.at.most(1);
      if (one?.node !== undefined) expect(one.node).to.not.equal(other?.node);
    }
  });

  it("strikes all nodes", () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const rounds = roundsOf(seed, 12).flat();
      expect(new Set(rounds.flatMap(({ node }) => node ?? [])).size).to.equal(NODES.length);
    }
  });
});

function roundsOf(seed: number, count: number): Round[] {
  const rounds: Round[] = [];
  for (const round of planFaults(seededChance(seed), NODES)) {
    rounds.push(round);
    if (rounds.length === count) break;
  }
  return rounds;
}
