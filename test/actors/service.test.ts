/**
 * A service as NATS's tools see it: what PING, INFO and STATS say (ADR-32), and to whom.
 */
import { expect } from "chai";
import { Answers } from "../../actors/answer.js";
import { Service, ServiceCounters } from "../../actors/service.js";
import { KvError } from "../../protocol/errors.js";
import { Names } from "../../protocol/nats/subjects.js";
import { ManualClock, seededChance } from "../support/manual-clock.js";
import { MemoryNetwork, type MemoryBus } from "../support/memory-bus.js";
import { NotedLogger } from "../support/noted-logger.js";

describe("service", () => {
  let clock: ManualClock;
  let counters: ServiceCounters;
  let asker: MemoryBus;
  let service: Service;

  beforeEach(() => {
    clock = new ManualClock();
    const network = new MemoryNetwork({ clock, chance: seededChance(1) });
    const bus = network.connect("n1");
    asker = network.connect("tool");
    counters = new ServiceCounters(["get", "set"], clock);
    const answers = new Answers({ names: new Names("kv"), bus, logger: new NotedLogger() });
    service = new Service(bus, description, counters, answers);
    service.start();
  });

  for (const kind of ["PING", "INFO", "STATS"]) {
    it(`answers ${kind} to all, to its name and to its id, and not to another's`, async () => {
      for (const subject of ["", ".ringdex", ".ringdex.ID1"]) {
        const body = await ask(`$SRV.${kind}${subject}`);
        expect(body).to.deep.include({
          type: `io.nats.micro.v1.${kind.toLowerCase()}_response`,
          name: "ringdex",
          id: "ID1",
          version: "1.2.3",
          metadata: { node: "n1" },
        });
      }
      for (const subject of [".other", ".ringdex.ID2"]) {
        const error = await ask(`$SRV.${kind}${subject}`).catch((reason: unknown) => reason);
        expect(error).to.be.instanceOf(KvError);
      }
    });
  }

  it("says in INFO what it is and which verbs it has", async () => {
    const { description: text, endpoints } = await ask("$SRV.INFO");
    expect(text).to.equal("a store");
    expect(endpoints).to.deep.equal([
      { name: "get", subject: "kv.get", queue_group: "q", metadata: {} },
      { name: "set", subject: "kv.set", queue_group: "q", metadata: {} },
    ]);
  });

  it("counts requests, errors and their time in nanoseconds, by verb", async () => {
    counters.begin("get");
    await clock.advance(2);
    counters.begin("get");
    await clock.advance(2);
    counters.end("get");
    counters.end("get", new KvError("not-found", "there is no a"));
    counters.begin("unknown");
    counters.end("unknown");
    const { started, endpoints } = await ask("$SRV.STATS");
    expect(started).to.equal("2026-01-01T00:00:00.000Z");
    expect(endpoints).to.deep.equal([
      {
        name: "get",
        subject: "kv.get",
        queue_group: "q",
        num_requests: 2,
        num_errors: 1,
        last_error: "404:there is no a",
        processing_time: 6_000_000,
        average_processing_time: 3_000_000,
      },
      {
        name: "set",
        subject: "kv.set",
        queue_group: "q",
        num_requests: 0,
        num_errors: 0,
        last_error: "",
        processing_time: 0,
        average_processing_time: 0,
      },
    ]);
  });

  it("counts the time so far of what is under way", async () => {
    counters.begin("set");
    await clock.advance(5);
    const [, set] = (await ask("$SRV.STATS")).endpoints;
    expect(set).to.include({ num_requests: 0, processing_time: 5_000_000 });
    expect(set).to.include({ average_processing_time: 0 });
  });

  it("is silent once it is stopped", async () => {
    service.stop();
    const error = await ask("$SRV.PING").catch((reason: unknown) => reason);
    expect(error).to.include({ kind: "unavailable" });
  });

  async function ask(subject: string): Promise<Body> {
    const asked = asker.request(subject, new Uint8Array(), { timeoutMs: 100 });
    const reply = await clock.resolve(asked);
    return JSON.parse(Buffer.from(reply.data).toString()) as Body;
  }
});

interface Body {
  readonly description: string;
  readonly started: string;
  readonly endpoints: Readonly<Record<string, unknown>>[];
}

const description = {
  name: "ringdex",
  id: "ID1",
  version: "1.2.3",
  description: "a store",
  started: "2026-01-01T00:00:00.000Z",
  queue: "q",
  subjectOf: (verb: string) => `kv.${verb}`,
  metadata: { node: "n1" },
};
