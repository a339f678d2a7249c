/**
 * The faults of logs, in memory and on a JetStream that is stopped, purged and made to forget.
 */
import { systemClock } from "../../infra/clock.js";
import { createLogStream, JetstreamLog } from "../../infra/jetstream/jetstream-log.js";
import type { Log } from "../../infra/log.js";
import { connectBus, type NatsBus } from "../../infra/nats/nats-bus.js";
import type { LogId, ShardId } from "../../protocol/ids.js";
import { MemoryStream, type MemoryLog } from "../support/memory-log.js";
import { startTestServer, type TestServer } from "../support/nats-server.js";
import { logFaultsContract } from "./log-faults-contract.js";

const MIB = 1_024 ** 2;
/** How long an append waits whose acknowledgement cannot come. */
const UNHEARD_MS = 200;

describe("a log in memory with faults", () => {
  logFaultsContract((bytesMax) => {
    const stream = new MemoryStream({ clock: systemClock, ...(bytesMax ? { bytesMax } : {}) });
    const logs: MemoryLog[] = [];
    const done = Promise.resolve();
    return Promise.resolve({
      open: () => {
        const log = stream.open();
        logs.push(log);
        return Promise.resolve(log);
      },
      appendUnheard: (log: Log, data: Uint8Array) => {
        (log as MemoryLog).loseNextAck("landed");
        return log.append(data, UNHEARD_MS);
      },
      trim: (first) => {
        stream.trim(first);
        return done;
      },
      dropNextDelivery: (log: Log) => (log as MemoryLog).dropNextDelivery(),
      forgetConsumers: () => {
        for (const log of logs) log.interrupt();
        return done;
      },
      close: () => done,
    });
  });
});

describe("a log on JetStream with faults", function () {
  this.timeout(30_000);
  let server: TestServer;
  let bus: NatsBus;
  let pulls: NatsBus;
  let number = 0;
  let dropsNext = false;
  const connect = (name: string): Promise<NatsBus> =>
    connectBus({ url: server.url, name, clock: systemClock, onFailure: () => undefined });
  before(async () => {
    server = await startTestServer();
    [bus, pulls] = await Promise.all([connect("requests"), connect("pulls")]);
    // NATS may lose any message between server and subscriber, and tells nobody.
    const subscribe = pulls.subscribe.bind(pulls);
    pulls.subscribe = (subject, queue, handler) =>
      subscribe(subject, queue, (message) => {
        const isEntry = message.reply?.startsWith("$JS.ACK.") === true;
        if (isEntry && dropsNext) dropsNext = false;
        else handler(message);
      });
  });
  after(async () => {
    await Promise.all([bus.close(), pulls.close()]);
    await server.stop();
  });

  logFaultsContract(async (bytesMax = 64 * MIB) => {
    number += 1;
    const stream = `kv-log-s1-${number}`;
    const subject = `kv.log.s1.${number}`;
    await createLogStream(bus, { stream, subject, bytesMax, replicas: 1 });
    const manager = await bus.connection.jetstreamManager();
    return {
      open: () =>
        Promise.resolve(
          new JetstreamLog({
            shard: "s1" as ShardId,
            id: "0" as LogId,
            stream,
            subject,
            bus,
            pulls,
            clock: systemClock,
            heartbeatMs: 200,
            warn: () => undefined,
          }),
        ),
      appendUnheard: async (log: Log, data: Uint8Array) => {
        // Stopped, it takes what is sent into its socket, and answers nothing until it goes on.
        process.kill(server.pid, "SIGSTOP");
        try {
          return await log.append(data, UNHEARD_MS);
        } finally {
          process.kill(server.pid, "SIGCONT");
        }
      },
      trim: async (first) => void (await manager.streams.purge(stream, { seq: first })),
      dropNextDelivery: () => {
        dropsNext = true;
      },
      forgetConsumers: async () => {
        for (const { name } of await manager.consumers.list(stream).next()) {
          await manager.consumers.delete(stream, name);
        }
      },
      close: () => Promise.resolve(),
    };
  });
});
