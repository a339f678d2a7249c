/**
 * One round of the power cut test; `make powercut` has all of them.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { systemChance } from "../../infra/clock.js";
import { seededChance } from "../support/manual-clock.js";
import { lossless } from "./rounds.js";
import { traceProblem } from "./trace.js";
import { TracedStore } from "./traced-store.js";

const SEEDS = 1_000_000;

describe("a power cut of all machines", function () {
  this.timeout(180_000);

  it("costs no acknowledged write where nats-server always syncs", async function () {
    const problem = traceProblem();
    if (problem !== undefined) {
      if (this.test !== undefined) this.test.title += ` (${problem})`;
      this.skip();
    }
    const seed = Math.floor(systemChance.fraction() * SEEDS);
    const chance = seededChance(seed);
    const folder = mkdtempSync(join(tmpdir(), "ringdex-powercut-"));
    const store = new TracedStore(folder, "always");
    try {
      const round = { store, machines: "all", loss: "torn", chance, name: "round" } as const;
      const { acknowledged, lost, wrong, retried } = await lossless({ ...round, isYoung: true });
      expect({ lost, wrong }, `seed ${seed}`).to.deep.equal({ lost: 0, wrong: [] });
      expect(acknowledged).to.be.greaterThan(100);
      expect(retried).to.be.greaterThan(0);
    } finally {
      await store.stop();
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    }
  });
});
