/**
 * Status: what a coordinator makes of the reports of nodes, and of those that are missing.
 */
import { expect } from "chai";
import { BatchRunner } from "../../../actors/coordinator/batch-split.js";
import { Coordinator } from "../../../actors/coordinator/coordinator.js";
import { Finder } from "../../../actors/coordinator/find.js";
import { Router } from "../../../actors/coordinator/router.js";
import { StatusCollector } from "../../../actors/coordinator/status.js";
import { ServiceCounters } from "../../../actors/service.js";
import type { HeaderList, Message } from "../../../infra/bus.js";
import type { Epoch, NodeName, Position, Sequence } from "../../../protocol/ids.js";
import { multiKeyVerbs, Names, singleKeyVerbs } from "../../../protocol/nats/subjects.js";
import type { NodeReport, StatusReport } from "../../../protocol/node/status.js";
import {
  decodeQuery,
  encodeCountReply,
  encodePageReply,
} from "../../../protocol/query/messages.js";
import { FakeShard } from "../../support/fake-shard.js";
import { ManualClock, seededChance } from "../../support/manual-clock.js";
import { MemoryNetwork, type MemoryBus } from "../../support/memory-bus.js";
import { NotedLogger } from "../../support/noted-logger.js";
import { smallRing } from "../../support/small-ring.js";

const names = new Names("kv");

const ring = smallRing([0, 1], [2, 3]);

const verbs = [...singleKeyVerbs, ...multiKeyVerbs];

describe("status of a store", () => {
  let clock: ManualClock;
  let network: MemoryNetwork;
  let client: MemoryBus;
  let counters: ServiceCounters;
  let logger: NotedLogger;
  let coordinator: Coordinator;
  let levels: string[];
  let isLate: boolean;
  let beforeAnswer: () => Promise<void>;

  beforeEach(() => {
    clock = new ManualClock();
    const chance = seededChance(1);
    network = new MemoryNetwork({ clock, chance });
    client = network.connect("client");
    logger = new NotedLogger();
    const bus = network.connect("n1");
    for (const { shard, positions } of ring.shards) {
      new FakeShard(network.connect(shard), clock, names, shard, 4, positions);
    }
    levels = [];
    isLate = false;
    beforeAnswer = () => Promise.resolve();
    counters = new ServiceCounters(verbs, clock);
    const around = { names, bus, clock, chance, logger };
    coordinator = new Coordinator({
      ...around,
      positionCount: 4,
      router: new Router(around),
      finder: new Finder(askShard, () => ring),
      batches: new BatchRunner(around, () => ring, 4),
      status: new StatusCollector(around, () => ring, "1.2.3"),
      counters,
      isLate: () => isLate,
    });
    coordinator.start();
  });

  const askShard: ConstructorParameters<typeof Finder>[0] = async (shard, verb, payload) => {
    const { level } = decodeQuery(verb, payload, 4);
    levels.push(level);
    await beforeAnswer();
    const positions = (shard === "s1" ? [0, 1] : [2, 3]) as Position[];
    const covered = { epoch: 1 as Epoch, sequence: 7 as Sequence, positions };
    const page = { rows: [], more: false, reached: undefined, ...covered };
    return verb === "count" ? encodeCountReply({ count: 2, ...covered }) : encodePageReply(page);
  };

  describe("status", () => {
    it("shows nodes that do not answer as down, and what that means", async () => {
      answerStatus("n1", reportOf("n1", {}));
      const status = body(await ask("kv.status")) as unknown as StatusReport;
      expect(status.nodes).to.deep.equal([
        { node: "n1", pid: 1, state: "up", version: "1.2.3" },
        { node: "n2", pid: null, state: "down", version: null },
      ]);
      expect(status.durability.sync_interval).to.equal("always");
      expect(status.warnings).to.deep.equal([
        "node n2 does not answer",
        "no replica of s2 serves: its keys are unavailable",
      ]);
    });

    it("answers within two seconds when a node hangs", async () => {
      answerStatus("n1", reportOf("n1", {}));
      network.connect("n2").subscribe("kv.node.n2.status", undefined, () => {});
      const { nodes } = body(await ask("kv.status")) as unknown as StatusReport;
      expect(nodes[1]?.state).to.equal("down");
      expect(clock.elapsedMs()).to.be.below(2_000);
    });

    it("warns of stopped and failing replicas, full logs, and of what nodes warn of", async () => {
      const first = { state: "stopped", reason: "log-shorter: 3 < 7" } as const;
      answerStatus("n1", { ...reportOf("n1", first), warnings: ["no mapping"] });
      const second = { state: "loading", reason: "disk", log_bytes: 80 } as const;
      answerStatus("n2", { ...reportOf("n2", second), warnings: ["no mapping"] });
      const { warnings } = body(await ask("kv.status")) as unknown as StatusReport;
      expect(warnings).to.deep.equal([
        "no mapping",
        "s1 on n1 is stopped: log-shorter: 3 < 7",
        "s2 on n2 does not serve: disk",
        "no replica of s1 serves: its keys are unavailable",
        "no replica of s2 serves: its keys are unavailable",
        "the log of s2 is 80 % full; when it is full, writes are refused",
      ]);
    });

    for (const interval of ["unknown", "2m"]) {
      it(`warns of a sync_interval that is ${interval}`, async () => {
        const durability = { sync_interval: interval, log_replicas: 1 };
        for (const node of ["n1", "n2"]) {
          answerStatus(node, { ...reportOf(node, {}), durability });
        }
        const { warnings } = body(await ask("kv.status")) as unknown as StatusReport;
        expect(warnings).to.have.length(1);
        expect(warnings[0]).to.match(/sync_interval is .*a power cut can lose/);
      });
    }
  });

  function answerStatus(node: string, report: NodeReport): void {
    const bus = network.connect(node);
    bus.subscribe(names.node(node as NodeName, "status"), undefined, ({ reply }) => {
      bus.publish(reply ?? "", Buffer.from(JSON.stringify(report)));
    });
  }

  function ask(subject: string, payload = "", headers: HeaderList = []): Promise<Message> {
    const options = { timeoutMs: 20_000, headers };
    return clock.resolve(client.request(subject, Buffer.from(payload), options));
  }
});

function body(message: Message): Readonly<Record<string, unknown>> {
  return JSON.parse(text(message)) as Readonly<Record<string, unknown>>;
}

function text({ data }: Message): string {
  return Buffer.from(data).toString();
}

function reportOf(node: string, replica: Partial<NodeReport["replicas"][number]>): NodeReport {
  return {
    node,
    pid: 1,
    version: "1.2.3",
    epoch: 1,
    durability: { sync_interval: "always", log_replicas: 1 },
    replicas: [
      {
        shard: node.replace("n", "s"),
        node,
        state: "serving",
        positions: 2,
        sequence_applied: 1,
        sequence_last: 1,
        lag: 0,
        keys: 0,
        bytes: 0,
        queue: 0,
        log_bytes: 1,
        log_bytes_max: 100,
        relay: { active: false, sequence: 0 },
        digest: { sequence: 1, records: "", index: "" },
        ...replica,
      },
    ],
    warnings: [],
  };
}
