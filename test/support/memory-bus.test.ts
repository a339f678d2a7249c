/**
 * The in-memory bus: as every bus, and its faults.
 */
import { expect } from "chai";
import { systemChance, systemClock } from "../../infra/clock.js";
import { busContract } from "../contract/bus-contract.js";
import { ManualClock, seededChance } from "./manual-clock.js";
import { MemoryNetwork } from "./memory-bus.js";

describe("memory bus", () => {
  busContract(() => {
    const network = new MemoryNetwork({ clock: systemClock, chance: systemChance });
    return Promise.resolve({
      connect: (name) => Promise.resolve(network.connect(name)),
      failures: network.failures,
      close: () => Promise.resolve(),
    });
  });

  it("keeps a lane's order when messages are delayed, and repeats with its seed", async () => {
    const run = async (seed: number): Promise<number[]> => {
      const clock = new ManualClock();
      const chance = seededChance(seed);
      const fate = (): { delayMs: number; copies: number; drop: boolean } => ({
        delayMs: chance.integer(20),
        copies: chance.integer(2) + 1,
        drop: chance.happens(0.1),
      });
      const network = new MemoryNetwork({ clock, chance, fate });
      const [from, to] = [network.connect("a"), network.connect("b")];
      const received: number[] = [];
      to.subscribe("x", undefined, ({ data }) => void received.push(data[0] ?? -1));
      for (let number = 0; number < 100; number++) {
        from.publish("x", Uint8Array.of(number));
        await clock.advance(1);
      }
      await clock.runUntilIdle();
      return received;
    };
    const received = await run(42);
    expect(received).to.deep.equal(received.toSorted((a, b) => a - b));
    expect(new Set(received).size).to.be.within(80, 99);
    expect(await run(42)).to.deep.equal(received);
    expect(await run(43)).not.to.deep.equal(received);
  });

  it("sends what waited for a connection, or says that nothing was sent", async () => {
    const clock = new ManualClock();
    const network = new MemoryNetwork({ clock, chance: seededChance(1) });
    const [bus, other] = [network.connect("a"), network.connect("b")];
    other.subscribe("echo", undefined, ({ data, reply }) => other.publish(reply ?? "", data));
    bus.disconnect();
    const late = bus.request("echo", Uint8Array.of(1), { timeoutMs: 50 }).catch((e: unknown) => e);
    expect(await clock.resolve(late)).to.have.property("kind", "unavailable");
    const waiting = bus.request("echo", Uint8Array.of(2), { timeoutMs: 50 });
    await clock.advance(20);
    bus.reconnect();
    expect((await clock.resolve(waiting)).data).to.deep.equal(Uint8Array.of(2));
  });
});
