/**
 * Proposer: callers past their deadline are told, and nothing is done while nobody waits.
 */
import { expect } from "chai";
import { Proposer } from "../../../../actors/shard/propose/proposer.js";
import type { Log } from "../../../../infra/log.js";
import { KvError } from "../../../../protocol/errors.js";
import type { Sequence } from "../../../../protocol/ids.js";
import { REQUEST_TIMEOUT_MS } from "../../../../protocol/limits.js";
import { set } from "../../../support/log-writer.js";
import { ManualClock, seededChance } from "../../../support/manual-clock.js";

describe("proposer", () => {
  it("tells callers whose turn does not come, as the log does not answer", async () => {
    const clock = new ManualClock();
    const log = { append: () => new Promise(() => undefined) } as unknown as Log;
    const basis = (): { sequence: Sequence; chain: bigint } => ({
      sequence: 1 as Sequence,
      chain: 0n,
    });
    const proposer = new Proposer(log, basis, () => undefined, clock, seededChance(1));
    const running = proposer.run();
    const told: string[] = [];
    const tell = (error: unknown): void => void told.push((error as KvError).kind);
    void proposer.propose([set("a", 1)]).catch(tell);
    await clock.advance(10);
    void proposer.propose([set("b", 1)]).catch(tell);
    await clock.advance(REQUEST_TIMEOUT_MS - 20);
    expect(told).to.deep.equal([]);
    await clock.advance(1_000);
    // Before the first operations an `open` is on its way: of theirs nothing is.
    expect(told).to.deep.equal(["unavailable", "unavailable"]);
    proposer.close(new KvError("unavailable", "the test ends"));
    void running;
  });
});
