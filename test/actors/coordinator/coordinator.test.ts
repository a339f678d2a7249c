/**
 * Coordinator on the in-memory bus, with fake shards and nodes: what each verb answers, and what
 * clients may do that it must survive.
 */
import { expect } from "chai";
import { REFUSALS_TOLD_MS } from "../../../actors/admission.js";
import { BatchRunner } from "../../../actors/coordinator/batch-split.js";
import { Coordinator } from "../../../actors/coordinator/coordinator.js";
import { Finder } from "../../../actors/coordinator/find.js";
import { Router } from "../../../actors/coordinator/router.js";
import { StatusCollector } from "../../../actors/coordinator/status.js";
import { ServiceCounters } from "../../../actors/service.js";
import type { HeaderList, Message } from "../../../infra/bus.js";
import type { Epoch, NodeName, Position, Sequence } from "../../../protocol/ids.js";
import { COORDINATOR_BYTES_MAX, PAYLOAD_BYTES_MAX } from "../../../protocol/limits.js";
import { multiKeyVerbs, Names, singleKeyVerbs } from "../../../protocol/nats/subjects.js";
import type { NodeReport } from "../../../protocol/node/status.js";
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

describe("coordinator", () => {
  let clock: ManualClock;
  let network: MemoryNetwork;
  let client: MemoryBus;
  let counters: ServiceCounters;
  let logger: NotedLogger;
  let coordinator: Coordinator;
  let shards: FakeShard[];
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
    shards = ring.shards.map(
      ({ shard, positions }) =>
        new FakeShard(network.connect(shard), clock, names, shard, 4, positions),
    );
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

  it("answers the single-key verbs, by subject and by payload alike", async () => {
    expect(body(await ask("kv.set.a", '{"x":1}'))).to.include({ key: "a", created: true });
    expect(body(await ask("kv.set", '{"key":"a b","value":2}'))).to.include({ key: "a b" });
    const got = await ask("kv.get", '{"key":"a"}');
    expect(text(got)).to.equal('{"x":1}');
    expect(got.headers?.get("kv-revision")).to.deep.equal(["1"]);
    expect(got.headers?.get("content-type")).to.deep.equal(["application/json"]);
    expect(text(await ask("kv.get.a"))).to.equal('{"x":1}');
    expect(body(await ask("kv.incr.n", '{"by":3}'))).to.include({ value: 3 });
    expect(body(await ask("kv.patch.a", '{"y":2}'))).to.include({ key: "a" });
    const touched = await ask("kv.touch.a", "", [["Kv-TTL", "60"]]);
    expect(body(touched)).to.include({ key: "a", expires_at: null });
    expect(body(await ask("kv.del.a"))).to.include({ existed: true });
    const missing = await ask("kv.get.a");
    expect(missing.headers?.get("nats-service-error-code")).to.deep.equal(["404"]);
    expect(body(missing)).to.have.nested.include({ "error.name": "not-found" });
  });

  it("answers the verbs over many keys", async () => {
    const ops = [{ op: "set", key: "a", value: 1 }, { op: "get", key: "a" }]; // prettier-ignore
    const { outcomes } = body(await ask("kv.batch", JSON.stringify({ ops })));
    expect(outcomes).to.have.length(2);
    expect(body(await ask("kv.find", "{}"))).to.deep.include({ items: [], complete: true });
    expect(body(await ask("kv.keys", "{}"))).to.deep.include({ keys: [], cursor: null });
    expect(body(await ask("kv.count", "{}"))).to.include({ count: 4, complete: true });
    expect(body(await ask("kv.ring"))).to.deep.include({ epoch: 1, position_count: 4 });
    expect(body(await ask("kv.info"))).to.include({ version: "1.2.3", store: "kv" });
  });

  it("refuses what has waited for too long on its way, but still tells of the store", async () => {
    isLate = true;
    for (const subject of ["kv.get.a", "kv.set", "kv.find", "kv.batch"]) {
      const { type, error } = body(await ask(subject, "{}")) as { type?: string; error?: object };
      expect(error, subject).to.include({ name: "overloaded", limit: "queue_ms" });
      expect(type).to.equal(`io.ringdex.v1.${subject.split(".")[1]}_response`);
    }
    expect(body(await ask("kv.ring"))).to.include({ epoch: 1 });
    expect(body(await ask("kv.info"))).to.include({ version: "1.2.3" });
    await clock.advance(REFUSALS_TOLD_MS);
    const told = logger.lines.filter(({ message }) => message.includes("queue_ms reached"));
    expect(told.map(({ fields }) => fields?.["refused"])).to.deep.equal([1, 3]);
  });

  it("works on requests of so many bytes at once, and on more when some are answered", async () => {
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    beforeAnswer = () => held;
    const large = "{}".padEnd(PAYLOAD_BYTES_MAX);
    const count = COORDINATOR_BYTES_MAX / PAYLOAD_BYTES_MAX;
    const options = { timeoutMs: 10_000 };
    const waiting = Array.from({ length: count }, () => {
      return client.request("kv.find", Buffer.from(large), options);
    });
    await clock.runUntil(() => levels.length === 2 * count);
    const { type, error } = body(await ask("kv.count", "{}")) as { type?: string; error?: object };
    expect(type).to.equal("io.ringdex.v1.count_response");
    expect(error).to.deep.include({
      name: "overloaded",
      limit: "coordinator_bytes",
      max: COORDINATOR_BYTES_MAX,
      received: 2,
    });
    letGo();
    for (const reply of await clock.resolve(Promise.all(waiting))) {
      expect(body(reply)).to.deep.include({ items: [], complete: true });
    }
    expect(body(await ask("kv.count", "{}"))).to.include({ complete: true });
  });

  it("names every reply's type", async () => {
    for (const verb of ["find", "keys", "count", "ring", "info", "status", "distinct"]) {
      const { type } = body(await ask(`kv.${verb}`, verb === "ring" ? "" : "{}"));
      expect(type).to.equal(`io.ringdex.v1.${verb}_response`);
    }
  });

  it("reads many keys at the level asked for, a session like linearizable", async () => {
    for (const level of ["stale", "session", "linearizable"]) {
      await ask("kv.find", "{}", [["Kv-Read", level]]);
    }
    await ask("kv.count", "{}", [["kv-read", "stale"]]);
    const pairs = [levels[0], levels[2], levels[4], levels[6]];
    expect(pairs).to.deep.equal(["stale", "linearizable", "linearizable", "stale"]);
    const wrong = await ask("kv.find", "{}", [["Kv-Read", "fresh"]]);
    expect(body(wrong)).to.have.nested.include({ "error.name": "bad-request" });
  });

  it("refuses options of writes on many keys, and another reply than JSON", async () => {
    const ofWrites = { "Kv-If-Revision": "0", "Kv-TTL": "5", "Kv-Return": "previous" };
    for (const [name, value] of Object.entries(ofWrites)) {
      const reply = body(await ask("kv.find", "{}", [[name, value]]));
      expect(reply, name).to.have.nested.include({ "error.name": "bad-request" });
    }
    const packed = await ask("kv.count", "{}", [["Accept", "application/msgpack"]]);
    expect(body(packed)).to.have.nested.include({ "error.name": "unsupported" });
    const options: HeaderList = [
      ["Accept", "application/json"],
      ["Kv-Request-Id", "1"],
    ];
    expect(body(await ask("kv.count", "{}", options))).to.include({ count: 4 });
  });

  it("says unsupported of what is not built", async () => {
    for (const verb of ["distinct", "aggregate", "explain"]) {
      const reply = await ask(`kv.${verb}`, "{}");
      expect(reply.headers?.get("nats-service-error-code")).to.deep.equal(["501"]);
      expect(body(reply)).to.have.nested.include({ "error.name": "unsupported" });
    }
  });

  it("counts requests and errors by verb", async () => {
    await ask("kv.get.missing");
    await ask("kv.ring");
    await ask("kv.batch", '{"ops":[{"op":"check"}],"atomic":true}');
    const batch = counters.entries().find(({ verb }) => verb === "batch");
    expect(batch).to.include({ requests: 1, errors: 1 });
    const [get, count] = ["get", "ring"].map((verb) =>
      counters.entries().find((each) => each.verb === verb),
    );
    expect(get).to.include({ requests: 1, errors: 1 });
    expect(count).to.include({ requests: 1, errors: 0 });
  });

  for (const reply of ["kv.set.b", "kv.set.a", "kv.find", "kv.ring.0.set.b", "kv.get.*", "a b"]) {
    it(`does what was asked once, and answers nothing on ${reply}`, async () => {
      client.publish("kv.set.a", Buffer.from("1"), { reply });
      await clock.runUntilIdle();
      const effects = shards.flatMap((shard) => shard.effects.map(({ key }) => key));
      expect(effects).to.deep.equal(["a"]);
      expect(network.failures).to.deep.equal([]);
      expect(logger.messages("error")).to.deep.equal([]);
    });
  }

  it("does what was asked without a reply subject, and says nothing", async () => {
    client.publish("kv.set.a", Buffer.from("1"));
    client.publish("kv.set.a", Buffer.from("not JSON"));
    await clock.runUntilIdle();
    expect(shards.flatMap(({ effects }) => effects)).to.have.length(1);
    expect(network.failures).to.deep.equal([]);
  });

  it("answers internal, with the incident's number in its log, for a bug", async () => {
    const broken: NodeReport = JSON.parse('{"replicas":[null]}') as NodeReport;
    answerStatus("n1", broken);
    const reply = body(await ask("kv.status"));
    const { incident } = logger.lines.find(({ level }) => level === "error")?.fields ?? {};
    expect(reply).to.have.nested.include({
      "error.name": "internal",
      "error.written": "unknown",
      "error.incident": incident,
    });
  });

  it("answers what it took before it closes, and takes nothing new", async () => {
    const asked = client.request("kv.set.a", Buffer.from("1"), { timeoutMs: 9_000 });
    await clock.advance(0);
    const closing = coordinator.close();
    expect(body(await clock.resolve(asked))).to.include({ key: "a" });
    await clock.resolve(closing);
    const late = await ask("kv.ring").catch((error: unknown) => error);
    expect(late).to.include({ kind: "unavailable" });
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
