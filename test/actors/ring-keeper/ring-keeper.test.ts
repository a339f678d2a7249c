/**
 * Ring-keepers that create a ring at the same time, with a bucket and a JetStream in memory that
 * answer late, lose answers, and whose callers die.
 */
import { expect } from "chai";
import fc from "fast-check";
import {
  RingKeeper,
  type ListedLog,
  type LogMaker,
  type LogName,
  type NewRingSettings,
  type RingPlace,
} from "../../../actors/ring-keeper/ring-keeper.js";
import { sleep } from "../../../infra/clock.js";
import { KvError } from "../../../protocol/errors.js";
import type { NodeName } from "../../../protocol/ids.js";
import { decodeEntry } from "../../../protocol/log/entry.js";
import { decodeRing } from "../../../protocol/ring/ring-bytes.js";
import type { RingShard, RingTable } from "../../../protocol/ring/ring.js";
import { ManualClock, seededChance, type SeededChance } from "../../support/manual-clock.js";
import { NotedLogger } from "../../support/noted-logger.js";

const nodes = ["n1", "n2", "n3"] as NodeName[];
const settings: NewRingSettings = {
  store: "kv",
  positionCount: 16,
  nodes,
  replicas: 2,
  logBytesMax: 1_024,
  indexPolicy: { excluded: ["secret"] },
};

describe("ring-keeper", () => {
  let server: FakeServer;
  let logger: NotedLogger;

  beforeEach(() => {
    server = new FakeServer(1);
    logger = new NotedLogger();
  });

  it("creates the logs with their first entries, then the ring", async () => {
    const ring = await server.clock.resolve(keeper().readOrCreate(settings, true));
    expect(server.steps).to.deep.equal(["create", "begin", "begin", "begin", "publish"]);
    expect(ring.shards.map(({ shard, nodes: on }) => [shard, on[0]])).to.deep.equal([
      ["s1", "n1"],
      ["s2", "n2"],
      ["s3", "n3"],
    ]);
    const [first] = ring.shards;
    const entry = decodeEntry(server.logs.get(first!.logId)![0]!);
    if (entry.kind !== "genesis") throw new Error(`is ${entry.kind}`);
    expect(entry.genesis).to.deep.include({
      store: "kv",
      shard: "s1",
      logId: first!.logId,
      positionCount: 16,
      positions: first!.positions,
      indexPolicy: { excluded: ["secret"] },
    });
  });

  it("takes the ring that is there, and makes nothing", async () => {
    const ring = await server.clock.resolve(keeper().readOrCreate(settings, true));
    server.steps.length = 0;
    const again = await server.clock.resolve(keeper().readOrCreate(settings, true));
    expect(again).to.deep.equal(ring);
    expect(server.steps).to.deep.equal([]);
  });

  it("leaves it to the first node for some seconds", async () => {
    const waiting = keeper().readOrCreate(settings, false);
    await server.clock.advance(2_900);
    expect(server.steps).to.deep.equal([]);
    const ring = await server.clock.resolve(keeper().readOrCreate(settings, true));
    expect(await server.clock.resolve(waiting)).to.deep.equal(ring);
    expect(server.steps.filter((step) => step === "create")).to.have.length(1);
  });

  it("creates it in the end, if the first node does not", async () => {
    const ring = await server.clock.resolve(keeper().readOrCreate(settings, false));
    expect(ring.shards).to.have.length(3);
    expect(server.clock.elapsedMs()).to.be.within(3_000, 6_500);
  });

  it("knows its own ring when the answer was lost and it has to ask again", async () => {
    // The first attempt lands after it was looked for: the second is told that somebody was first.
    server.publishes = ["land late", "answer"];
    const ring = await server.clock.resolve(keeper().readOrCreate(settings, true));
    expect(server.standing).to.deep.equal(ring);
    expect(logsOf(ring)).to.deep.equal([...server.logs.keys()].toSorted());
  });

  it("knows it also when the ring cannot be read for a while", async () => {
    server.publishes = ["land late", "answer"];
    server.unreadableUntilMs = 5_000;
    const made = keeper();
    const creating = server.clock.resolve(made.readOrCreate(settings, true));
    // The reads at the start do not count.
    server.unreadableFromMs = 1;
    const ring = await creating;
    expect(logsOf(ring)).to.deep.equal([...server.logs.keys()].toSorted());
  });

  it("removes what it made when a log cannot be begun, and says why", async () => {
    server.beginFails = new KvError("in-doubt", "no answer from kv.log.s1");
    const error = await failure(keeper().readOrCreate(settings, true));
    expect(error.kind).to.equal("in-doubt");
    expect([...server.logs.keys()]).to.deep.equal([]);
    expect(server.standing).to.equal(undefined);
  });

  it("removes logs that a node left behind when it died before the ring was there", async () => {
    server.logs.set("00000000000000aa", []);
    server.logs.set("00000000000000bb", [new Uint8Array(1)]);
    const ring = await server.clock.resolve(keeper().readOrCreate(settings, true));
    expect(logsOf(ring)).to.deep.equal([...server.logs.keys()].toSorted());
  });

  it("creates no empty ring beside logs that have data, and leaves them as they are", async () => {
    server.logs.set("00000000000000aa", [new Uint8Array(1), new Uint8Array(1)]);
    const error = await failure(keeper().readOrCreate(settings, true));
    expect(error.message).to.contain("logs with data: s1-00000000000000aa");
    expect([...server.logs.keys()]).to.deep.equal(["00000000000000aa"]);
    expect(server.steps).to.deep.equal([]);
  });

  it("leaves a log that got data while the ring was created", async () => {
    const stray = [new Uint8Array(1)];
    server.logs.set("00000000000000aa", stray);
    const creating = keeper().readOrCreate(settings, true);
    server.onPublish = () => void stray.push(new Uint8Array(1));
    await server.clock.resolve(creating);
    expect([...server.logs.keys()]).to.include("00000000000000aa");
  });

  it("serves with logs left over if these cannot be removed", async () => {
    server.logs.set("00000000000000aa", []);
    server.removeFails = new KvError("unavailable", "no");
    const ring = await server.clock.resolve(keeper().readOrCreate(settings, true));
    expect(ring.shards).to.have.length(3);
    expect(logger.messages("info")).to.include("could not remove an orphaned log");
  });

  it("refuses an impossible wish with the reason", async () => {
    const error = await failure(keeper().readOrCreate({ ...settings, replicas: 4 }, true));
    expect(error.kind).to.equal("bad-request");
    expect(server.steps).to.deep.equal([]);
  });

  it("makes one ring of whole logs and leaves no other log, whatever happens", async () => {
    const step = fc.constantFrom<PublishFate>("answer", "lose", "land late", "never land");
    const scenario = fc.record({
      seed: fc.nat(),
      keeperCount: fc.integer({ min: 1, max: 4 }),
      isFirst: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
      publishes: fc.array(step, { maxLength: 6 }),
      diesAtStep: fc.option(fc.nat(12), { nil: undefined }),
    });
    const property = fc.asyncProperty(scenario, async (wish) => {
      server = new FakeServer(wish.seed);
      server.publishes = wish.publishes;
      server.isSlow = true;
      // The first keeper's process may die; another one is there to go on, or it starts again.
      server.mortal = { name: "k0", steps: wish.diesAtStep ?? Infinity };
      const keepers = Array.from({ length: wish.keeperCount + 1 }, (_, index) =>
        keeper(`k${index}`).readOrCreate(settings, wish.isFirst[index % 4] ?? true),
      );
      const rings = await server.clock.resolve(
        Promise.all(keepers.slice(1).map((made, index) => retried(made, index + 1))),
      );
      await server.clock.runUntilIdle();
      const { standing } = server;
      for (const ring of rings) expect(ring).to.deep.equal(standing);
      expect(server.ringCount, "the ring is written once").to.equal(1);
      for (const { logId, shard } of standing!.shards) {
        const entries = server.logs.get(logId) ?? [];
        expect(entries, `${shard} has its first entry, and one`).to.have.length(1);
      }
      if (wish.diesAtStep !== undefined) return;
      await Promise.allSettled(keepers);
      expect([...server.logs.keys()].toSorted()).to.deep.equal(logsOf(standing!));
    });
    await fc.assert(property, { numRuns: 150 });
  });

  function keeper(name = "k"): RingKeeper {
    const { clock } = server;
    const chance = seededChance(server.chance.fraction() * 2 ** 31);
    return new RingKeeper(server.placeOf(name), server.makerOf(name), clock, chance, logger);
  }

  /** As the supervisor does with a node that ends. */
  async function retried(made: Promise<RingTable>, index: number): Promise<RingTable> {
    try {
      return await made;
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      await sleep(server.clock, 1_000);
      return retried(keeper(`k${index}`).readOrCreate(settings, true), index);
    }
  }

  async function failure(promise: Promise<unknown>): Promise<KvError> {
    const error = await server.clock.resolve(promise.catch((reason: unknown) => reason));
    if (error instanceof KvError) return error;
    throw new Error(`was ${String(error)}`);
  }
});

/**
 * What becomes of one attempt to publish the ring.
 *   lose        it is decided at once, the answer is lost
 *   land late   it is decided after whoever sent it has been told that nobody knows
 *   never land  it is lost on its way
 */
type PublishFate = "answer" | "lose" | "land late" | "never land";

/** A bucket and the logs, for any number of keepers. */
class FakeServer {
  readonly clock = new ManualClock();
  readonly chance: SeededChance;
  /** By log-id: entries. */
  readonly logs = new Map<string, Uint8Array[]>();
  readonly steps: string[] = [];
  publishes: PublishFate[] = [];
  isSlow = false;
  mortal = { name: "", steps: Infinity };
  beginFails: KvError | undefined;
  removeFails: KvError | undefined;
  onPublish = (): void => undefined;
  unreadableFromMs = Infinity;
  unreadableUntilMs = 0;
  ringCount = 0;
  #value: Uint8Array | undefined;
  #published = 0;

  constructor(seed: number) {
    this.chance = seededChance(seed);
  }

  get standing(): RingTable | undefined {
    return this.#value && decodeRing(this.#value);
  }

  placeOf(name: string): RingPlace {
    return {
      read: async () => {
        await this.#pass(name);
        const now = this.clock.elapsedMs();
        if (now >= this.unreadableFromMs && now < this.unreadableUntilMs) throw inDoubt();
        return this.#value && { value: this.#value };
      },
      createOnce: async (value) => {
        await this.#pass(name);
        const fate = this.publishes[this.#published++] ?? "answer";
        if (fate === "answer") return this.#decide(value);
        if (fate === "lose") this.#decide(value);
        if (fate === "land late") this.clock.after(150, () => void this.#decide(value));
        throw inDoubt();
      },
    };
  }

  makerOf(name: string): LogMaker {
    return {
      create: async (shards: readonly RingShard[]) => {
        await this.#pass(name);
        this.steps.push("create");
        for (const { logId } of shards) this.logs.set(logId, []);
      },
      begin: async ({ logId }: RingShard, entry: Uint8Array) => {
        await this.#pass(name);
        if (this.beginFails !== undefined) throw this.beginFails;
        this.steps.push("begin");
        const log = this.logs.get(logId);
        if (log === undefined) throw new KvError("unavailable", "nobody listens");
        log.push(entry);
      },
      remove: async ({ logId }: LogName) => {
        await this.#pass(name);
        if (this.removeFails !== undefined) throw this.removeFails;
        this.logs.delete(logId);
      },
      list: async () => {
        await this.#pass(name);
        return [...this.logs].map(([logId, entries]): ListedLog => {
          const sequenceLast = entries.length;
          return { shard: "s1", logId, sequenceLast, entryCount: sequenceLast } as ListedLog;
        });
      },
    };
  }

  #decide(value: Uint8Array): boolean {
    if (this.#value !== undefined) return false;
    this.#value = value;
    this.ringCount += 1;
    this.steps.push("publish");
    this.onPublish();
    return true;
  }

  /** The way to the server; a dead process never comes back from it. */
  async #pass(name: string): Promise<void> {
    if (name === this.mortal.name && this.mortal.steps-- <= 0) await new Promise(() => {});
    if (this.isSlow) await sleep(this.clock, this.chance.fraction() * 200);
  }
}

function logsOf({ shards }: RingTable): string[] {
  return shards.map(({ logId }): string => logId).toSorted();
}

function inDoubt(): KvError {
  return new KvError("in-doubt", "no answer in time");
}
