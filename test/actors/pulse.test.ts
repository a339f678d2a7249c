/**
 * Pulse on the in-memory bus: what is late, and what only looks so.
 */
import { expect } from "chai";
import { Pulse } from "../../actors/pulse.js";
import { PULSE_MS, QUEUE_MS_MAX } from "../../protocol/limits.js";
import { ManualClock, seededChance } from "../support/manual-clock.js";
import { MemoryNetwork, type Fate, type MemoryBus } from "../support/memory-bus.js";

const STEP_MS = 20;

describe("pulse", () => {
  let clock: ManualClock;
  let bus: MemoryBus;
  let pulse: Pulse;
  let fate: Fate;
  let sentCount: number;

  beforeEach(() => {
    clock = new ManualClock();
    fate = {};
    sentCount = 0;
    const network = new MemoryNetwork({
      clock,
      chance: seededChance(1),
      fate: () => {
        sentCount += 1;
        return fate;
      },
    });
    bus = network.connect("n1");
    pulse = new Pulse(bus, "kv.node.n1.pulse", clock);
    pulse.start();
  });
  afterEach(() => pulse.stop());

  it("is late when messages wait for more than QUEUE_MS_MAX, until they do no more", async () => {
    fate = { delayMs: 2 * QUEUE_MS_MAX };
    expect(await askFor(QUEUE_MS_MAX)).to.not.include(true);
    expect((await askFor(QUEUE_MS_MAX)).at(-1)).to.equal(true);
    fate = {};
    expect((await askFor(2 * QUEUE_MS_MAX)).at(-1)).to.equal(false);
  });

  it("is not late while messages wait for less", async () => {
    fate = { delayMs: QUEUE_MS_MAX - PULSE_MS };
    expect(await askFor(10 * QUEUE_MS_MAX)).to.not.include(true);
  });

  it("is not late for one lost message, however long the next request takes to come", async () => {
    fate = { drop: true };
    expect(pulse.isLate()).to.equal(false);
    fate = {};
    await clock.advance(QUEUE_MS_MAX + PULSE_MS);
    expect(pulse.isLate()).to.equal(false);
    expect(await askFor(QUEUE_MS_MAX)).to.not.include(true);
  });

  it("says nothing by messages that were away when nobody asked for a while", async () => {
    fate = { drop: true };
    expect((await askFor(3 * QUEUE_MS_MAX)).at(-1)).to.equal(true);
    await clock.advance(1_001);
    expect(pulse.isLate()).to.equal(false);
  });

  it("says nothing by messages that were lost with the connection", async () => {
    fate = { drop: true };
    expect((await askFor(3 * QUEUE_MS_MAX)).at(-1)).to.equal(true);
    bus.disconnect();
    bus.reconnect();
    expect(pulse.isLate()).to.equal(false);
  });

  it("sends when it is asked, not more often than every PULSE_MS", async () => {
    await clock.advance(60_000);
    expect(sentCount).to.equal(0);
    await askFor(10 * PULSE_MS);
    expect(sentCount).to.be.within(1, 10);
  });

  /** What it says, asked every STEP_MS. */
  async function askFor(ms: number): Promise<boolean[]> {
    const answers: boolean[] = [];
    for (let at = 0; at < ms; at += STEP_MS) {
      answers.push(pulse.isLate());
      await clock.advance(STEP_MS);
    }
    return answers;
  }
});
