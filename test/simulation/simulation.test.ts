/**
 * Simulated runs of one shard, one a seed: as many as fit into the time.
 *
 * RINGDEX_SEED=<seed> replays one run, RINGDEX_SEEDS=<count> runs so many, without a limit of time.
 */
import { expect } from "chai";
import { simulate, type SimulationReport } from "./simulate.js";

const SEEDS_MIN = 100;
const TIME_MS = 10_000;

describe("simulation of one shard", () => {
  it("does not lose, double or confuse a write, whatever goes wrong", async function () {
    this.timeout(0);
    const faults: Record<string, number> = {};
    let acknowledged = 0;
    for await (const report of reports()) {
      expect(report.problems, replayOf(report)).to.deep.equal([]);
      acknowledged += report.acknowledged;
      for (const [fault, count] of Object.entries(report.faults)) {
        faults[fault] = (faults[fault] ?? 0) + count;
      }
    }
    // A run in which nothing was done, or nothing went wrong, would show nothing.
    expect(acknowledged).to.be.greaterThan(0);
    if (process.env["RINGDEX_SEED"] === undefined) expect(Object.keys(faults)).to.have.length(15);
  });

  it("acknowledges everything when nothing goes wrong", async () => {
    const report = await simulate(7, { faults: false });
    expect(report.problems).to.deep.equal([]);
    expect(report.faults).to.deep.equal({});
    expect(report.reads).to.be.greaterThan(0);
  });

  it("is the same event by event for the same seed, and another for another", async () => {
    const [one, same, other] = [await simulate(11), await simulate(11), await simulate(12)];
    expect(same).to.deep.equal(one);
    expect(other.traceHash).to.not.equal(one.traceHash);
  });
});

async function* reports(): AsyncGenerator<SimulationReport> {
  const { RINGDEX_SEED: one, RINGDEX_SEEDS: count } = process.env;
  if (one !== undefined) return yield simulate(Number(one));
  const endMs = performance.now() + (count === undefined ? TIME_MS : Infinity);
  const seedsMin = Number(count ?? SEEDS_MIN);
  for (let seed = 1; ; seed += 1) {
    const isEnough = seed > seedsMin && (count !== undefined || performance.now() > endMs);
    if (isEnough) return;
    yield simulate(seed);
  }
}

function replayOf({ seed }: SimulationReport): string {
  const command = `RINGDEX_SEED=${seed} make test TESTS=dist/test/simulation/simulation.test.js`;
  return `seed ${seed} fails; replay it by: ${command}\n`;
}
