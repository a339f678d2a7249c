/**
 * Repairs that are cut off at any step, lose answers, or run at the same time, over nodes, a bucket
 * and logs in memory.
 */
import { expect } from "chai";
import { Repairer, type LogMender } from "../../../actors/ring-keeper/repairer.js";
import type { ListedLog } from "../../../actors/ring-keeper/ring-keeper.js";
import { KvError } from "../../../protocol/errors.js";
import type { LogId, NodeName, Position, ShardId } from "../../../protocol/ids.js";
import { decodeEntry } from "../../../protocol/log/entry.js";
import { Names } from "../../../protocol/nats/subjects.js";
import type { RepairReply, RepairReport } from "../../../protocol/node/repair.js";
import { decodeRing, ringBytes } from "../../../protocol/ring/ring-bytes.js";
import type { RingTable } from "../../../protocol/ring/ring.js";
import { limits } from "../../support/log-writer.js";
import { ManualClock, seededChance } from "../../support/manual-clock.js";
import { MemoryNetwork } from "../../support/memory-bus.js";
import { MemoryRing } from "../../support/memory-ring.js";
import { NotedLogger } from "../../support/noted-logger.js";

const names = new Names("kv");
const OLD = "00000000000000a1" as LogId;
const CHAIN = "0123456789abcdef";

describe("repairer", () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });

  it("only plans without a token, and changes nothing", async () => {
    const plan = await world.run({});
    expect(plan).to.include({ kind: "log", done: false, sequence: 100, log_last: 53, epoch: 1 });
    expect(world.steps).to.deep.equal([]);
    expect(world.ring.epoch).to.equal(1);
  });

  it("seals the log, begins one after the furthest store, then changes the ring", async () => {
    const done = await world.repaired();
    expect(world.steps).to.deep.equal(["seal", "create", "begin", "publish"]);
    const [shard] = world.ring.shards;
    expect(shard).to.include({ logId: done.log_id });
    expect(shard?.logIdsBefore).to.deep.equal([OLD]);
    expect(world.ring.epoch).to.equal(2);
    const log = world.logs.get(done.log_id as LogId);
    expect(log?.first).to.equal(101);
    const entry = decodeEntry(log!.entries[0]!);
    if (entry.kind !== "genesis") throw new Error(`is ${entry.kind}`);
    expect(entry.basisSequence).to.equal(100);
    expect(entry.genesis).to.deep.include({
      logId: done.log_id,
      positions: [0, 1, 2],
      limits,
      indexPolicy: { excluded: ["secret"] },
      parent: { logId: OLD, sequence: 100, chain: CHAIN },
    });
  });

  it("refuses a token of what is not so any more, before anything is sealed", async () => {
    const { token } = await world.run({});
    world.sequences.n1 = 105;
    expect((await world.failure({ token })).kind).to.equal("conflict");
    expect(world.steps).to.deep.equal([]);
  });

  it("makes no log if a store has changed while the old one was being sealed", async () => {
    const { token } = await world.run({});
    world.onStep = (step) => {
      if (step === "seal") world.sequences.n1 = 105;
    };
    expect((await world.failure({ token })).kind).to.equal("conflict");
    expect(world.steps).to.deep.equal(["seal"]);
    expect(world.ring.epoch).to.equal(1);
  });

  for (const step of ["seal", "create", "begin", "publish"] as const) {
    it(`can be called again when it was cut off after ${step}`, async () => {
      const { token } = await world.run({});
      world.onStep = (each) => (each === step ? new Promise<never>(() => undefined) : undefined);
      void world.make().repair({ shard: "s1", abandon: [], token });
      await world.clock.runUntil(() => world.steps.at(-1) === step);
      world.onStep = () => undefined;
      if (step === "publish") {
        expect((await world.run({})).kind).to.equal("nothing");
        return;
      }
      const done = await world.repaired();
      expect(world.ring.shards[0]?.logId).to.equal(done.log_id);
      // What the first one made and nobody names is gone; the old log is there.
      expect([...world.logs.keys()].toSorted()).to.deep.equal([OLD, done.log_id].toSorted());
    });
  }

  it("knows its own ring when the answer to its change was lost", async () => {
    world.cell.loseNextAnswer();
    const done = await world.repaired();
    expect(done.done).to.equal(true);
    expect(world.ring).to.include({ epoch: 2 });
    expect(world.logs.has(done.log_id as LogId)).to.equal(true);
  });

  it("is done once by two at the same time: the loser deletes its log", async () => {
    const { token } = await world.run({});
    const request = { shard: "s1", abandon: [], token };
    const both = Promise.allSettled([world.make(7).repair(request), world.make(8).repair(request)]);
    const results = await world.clock.resolve(both);
    const won = results.filter(({ status }) => status === "fulfilled");
    expect(won).to.have.length(1);
    expect(world.ring.epoch).to.equal(2);
    const logId = world.ring.shards[0]?.logId;
    expect([...world.logs.keys()].toSorted()).to.deep.equal([OLD, `${logId}`].toSorted());
  });

  it("removes what it made when the first entry cannot be appended", async () => {
    const { token } = await world.run({});
    world.onStep = (step) => {
      if (step === "begin") throw new KvError("in-doubt", "no answer");
    };
    expect((await world.failure({ token })).kind).to.equal("in-doubt");
    expect([...world.logs.keys()]).to.deep.equal([OLD]);
    expect(world.ring.epoch).to.equal(1);
  });

  it("says why it refuses, and names the shards that there are", async () => {
    world.silent.add("n2");
    const error = await world.failure({});
    expect(error).to.include({ kind: "conflict" });
    expect(error.message).to.contain("n2 does not answer");
    expect((await world.failure({ shard: "s9" })).message).to.contain("there are s1");
  });

  it("does without a node that is abandoned", async () => {
    world.silent.add("n2");
    const { token } = await world.run({ abandon: ["n2"] });
    const done = await world.run({ abandon: ["n2"], token });
    expect(done).to.include({ done: true, sequence: 100 });
  });

  it("tells the stopped replica to fill its store where the log is served", async () => {
    world.states.n1 = ["serving", ""];
    world.states.n2 = ["stopped", "log-diverged: other entries"];
    const { token, kind } = await world.run({});
    expect(kind).to.equal("refill");
    expect(world.refilled).to.deep.equal([]);
    expect(await world.run({ token })).to.include({ done: true, epoch: 1 });
    expect(world.refilled).to.deep.equal(["n2"]);
    expect(world.steps).to.deep.equal([]);
  });
});

type Step = "seal" | "create" | "begin" | "publish";
type Node = "n1" | "n2";

/** Two nodes whose stores are ahead of their log, and a server that keeps logs and the ring. */
class World {
  readonly clock = new ManualClock();
  readonly steps: Step[] = [];
  readonly refilled: string[] = [];
  readonly silent = new Set<string>();
  readonly sequences = { n1: 100, n2: 97 };
  readonly states: Record<Node, [RepairReport["state"], string]> = {
    n1: ["stopped", "log-shorter: it lost writes"],
    n2: ["stopped", "log-shorter: it lost writes"],
  };
  readonly logs = new Map<LogId, { first: number; entries: Uint8Array[] }>();
  onStep: (step: Step) => Promise<never> | undefined | void = () => undefined;
  readonly cell = new MemoryRing();
  readonly #network = new MemoryNetwork({ clock: this.clock, chance: seededChance(1) });

  constructor() {
    const ring: RingTable = {
      store: "kv",
      epoch: 1 as RingTable["epoch"],
      positionCount: 3,
      nodes: ["n1", "n2"].map((node) => {
        return { node: node as NodeName, weight: 1, zone: undefined };
      }),
      shards: [
        {
          shard: "s1" as ShardId,
          logId: OLD,
          nodes: ["n1", "n2"] as NodeName[],
          weight: 1,
          positions: [0, 1, 2] as Position[],
        },
      ],
    };
    this.cell.put(ringBytes(ring));
    const entries = Array.from({ length: 53 }, () => new Uint8Array(1));
    this.logs.set(OLD, { first: 1, entries });
    for (const node of ["n1", "n2"] as const) this.#startNode(node);
  }

  get ring(): RingTable {
    return decodeRing(this.cell.value ?? new Uint8Array());
  }

  make(seed = 1): Repairer {
    return new Repairer({
      names,
      bus: this.#network.connect(`repairer ${seed}`),
      cell: {
        read: () => this.cell.read(),
        update: (value, revision) => this.#update(value, revision),
      },
      logs: this.#mender(),
      logBytesMax: 1_024,
      clock: this.clock,
      chance: seededChance(seed),
      logger: new NotedLogger(),
    });
  }

  run(request: { shard?: string; abandon?: string[]; token?: string }): Promise<RepairReply> {
    const whole = { shard: "s1", abandon: [], ...request };
    return this.clock.resolve(this.make(this.steps.length + 2).repair(whole));
  }

  async repaired(): Promise<RepairReply> {
    const { token } = await this.run({});
    return this.run({ token });
  }

  async failure(request: { shard?: string; token?: string }): Promise<KvError> {
    const result: unknown = await this.run(request).catch((error: unknown) => error);
    if (result instanceof KvError) return result;
    throw new Error("it was done");
  }

  async #update(value: Uint8Array, revision: number): Promise<number | undefined> {
    const before = this.cell.revision;
    const [answer] = await Promise.allSettled([this.cell.update(value, revision)]);
    if (this.cell.revision > before) await this.#step("publish");
    if (answer.status === "fulfilled") return answer.value;
    throw answer.reason;
  }

  async #step(step: Step): Promise<void> {
    this.steps.push(step);
    await this.onStep(step);
  }

  #mender(): LogMender {
    return {
      seal: () => this.#step("seal"),
      create: async (shards, _bytesMax, first = 1 as never) => {
        for (const { logId } of shards) this.logs.set(logId, { first, entries: [] });
        await this.#step("create");
      },
      begin: async ({ logId }, entry) => {
        this.logs.get(logId)?.entries.push(entry);
        await this.#step("begin");
      },
      remove: async ({ logId }) => {
        this.logs.delete(logId);
      },
      list: async () =>
        [...this.logs].map(([logId, { first, entries }]): ListedLog => {
          const sequenceLast = first + entries.length - 1;
          return { shard: "s1" as ShardId, logId, sequenceLast, entryCount: entries.length };
        }),
    };
  }

  #startNode(node: Node): void {
    const bus = this.#network.connect(node);
    const answer = (verb: string, body: () => object): void => {
      bus.subscribe(names.node(node as NodeName, verb), undefined, ({ reply }) => {
        if (reply === undefined || this.silent.has(node)) return;
        bus.publish(reply, Buffer.from(JSON.stringify(body())));
      });
    };
    answer("repair-report", () => this.#report(node));
    answer("refill", () => {
      this.refilled.push(node);
      return {};
    });
  }

  #report(node: Node): RepairReport {
    const [shard] = this.ring.shards;
    const hasFollowed = shard?.logId !== OLD;
    const [state, reason] = hasFollowed ? (["serving", ""] as const) : this.states[node];
    const sequence = this.sequences[node];
    const log_id = shard?.logId ?? "";
    const store = {
      log_id,
      sequence,
      chain: sequence === 100 ? CHAIN : sequence.toString(16).padStart(16, "0"),
      chains: { "97": (97).toString(16).padStart(16, "0") },
      parent: null,
      positions: ["0-2"],
      limits,
      index_excluded: ["secret"],
      behaviour_version: 1,
      records: "r",
      index: "i",
      keys: 1,
    };
    return { node, shard: "s1", log_id, epoch: this.ring.epoch, state, reason, store };
  }
}
