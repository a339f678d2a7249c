/**
 * Lost connections, in memory and with a nats-server that is killed.
 */
import type { Bus } from "../../infra/bus.js";
import { systemChance, systemClock } from "../../infra/clock.js";
import { connectBus, type NatsBus } from "../../infra/nats/nats-bus.js";
import { MemoryNetwork, type MemoryBus } from "../support/memory-bus.js";
import { startTestServer, type TestServer } from "../support/nats-server.js";
import { busFaultsContract } from "./bus-faults-contract.js";

describe("a bus in memory whose connection goes", () => {
  busFaultsContract(() => {
    const network = new MemoryNetwork({ clock: systemClock, chance: systemChance });
    const buses: MemoryBus[] = [];
    const done = Promise.resolve();
    return Promise.resolve({
      connect: (name) => {
        const bus = network.connect(name);
        buses.push(bus);
        return Promise.resolve(bus);
      },
      lose: () => {
        for (const bus of buses) bus.disconnect();
        return done;
      },
      regain: () => {
        for (const bus of buses) bus.reconnect();
        return done;
      },
      close: () => done,
    });
  });
});

describe("a bus on nats-server whose connection goes", function () {
  this.timeout(30_000);
  let server: TestServer;
  const buses: NatsBus[] = [];
  before(async () => {
    server = await startTestServer({ mapping: false });
  });
  after(() => server.stop());

  busFaultsContract(() =>
    Promise.resolve({
      connect: async (name): Promise<Bus> => {
        const onFailure = (): void => undefined;
        const bus = await connectBus({ url: server.url, name, clock: systemClock, onFailure });
        buses.push(bus);
        return bus;
      },
      lose: () => server.kill(),
      regain: async () => {
        await server.restart();
        await Promise.all(buses.map(connected));
        // Subscriptions are sent before anything else, so they stand when this is answered.
        await Promise.all(buses.map((bus) => bus.flush()));
      },
      close: async () => {
        await Promise.all(buses.splice(0).map((bus) => bus.close()));
      },
    }),
  );
});

function connected(bus: NatsBus): Promise<void> {
  if (bus.status === "connected") return Promise.resolve();
  return new Promise((resolve) => {
    const unlisten = bus.onStatus((status) => {
      if (status !== "connected") return;
      unlisten();
      resolve();
    });
  });
}
