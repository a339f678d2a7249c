/**
 * Batches over two shards of four positions, on the in-memory bus: order, doubt, atomicity.
 */
import { expect } from "chai";
import { BatchRunner } from "../../../actors/coordinator/batch-split.js";
import { KvError, type ErrorName } from "../../../protocol/errors.js";
import { Names } from "../../../protocol/nats/subjects.js";
import { positionOf } from "../../../protocol/position.js";
import { errorReply } from "../../../protocol/reply/subject.js";
import { FakeShard } from "../../support/fake-shard.js";
import { ManualClock, seededChance } from "../../support/manual-clock.js";
import { MemoryNetwork } from "../../support/memory-bus.js";
import { smallRing } from "../../support/small-ring.js";

const names = new Names("kv");

const ring = smallRing([0, 1], [2, 3]);

describe("batch", () => {
  let clock: ManualClock;
  let s1: FakeShard;
  let s2: FakeShard;
  let runner: BatchRunner;

  beforeEach(() => {
    start();
  });

  function start(): void {
    clock = new ManualClock();
    const chance = seededChance(1);
    const network = new MemoryNetwork({ clock, chance });
    s1 = new FakeShard(network.connect("s1"), clock, names, "s1", 4, [0, 1]);
    s2 = new FakeShard(network.connect("s2"), clock, names, "s2", 4, [2, 3]);
    runner = new BatchRunner({ names, bus: network.connect("n1"), clock, chance }, () => ring, 4);
  }

  it("sends each shard one message, and has the outcomes in the order sent", async () => {
    const ops = keysOf("s1", 3).flatMap((key, index) => [
      set(key, index),
      set(keysOf("s2", 3)[index]!, index),
    ]);
    const { outcomes } = await run({ ops });
    expect(outcomes.map(({ key }) => key)).to.deep.equal(ops.map(({ key }) => key));
    expect([s1.received.length, s2.received.length]).to.deep.equal([1, 1]);
  });

  it("gives each operation an id by its index in the whole batch", async () => {
    const [a, b] = [keysOf("s1", 1)[0]!, keysOf("s2", 1)[0]!];
    await run({ ops: [set(a, 1), set(b, 1), { ...set(a, 2), request_id: "mine" }] });
    const [first, third] = s1.effects.map(({ request }) => request);
    expect(first?.id).to.equal(s2.effects[0]?.request?.id);
    expect([first?.index, s2.effects[0]?.request?.index]).to.deep.equal([0, 1]);
    expect(third).to.deep.equal({ id: "mine", index: 0 });
  });

  it("answers an empty batch, and malformed operations, without asking anybody", async () => {
    expect((await run({ ops: [] })).outcomes).to.deep.equal([]);
    expect((await run({ ops: [], atomic: true })).outcomes).to.deep.equal([]);
    const { outcomes } = await run({ ops: [{ op: "set", key: "a" }] });
    expect(outcomes[0]?.error?.name).to.equal("bad-request");
    expect(s1.received.length + s2.received.length).to.equal(0);
  });

  it("runs an atomic batch of checks alone", async () => {
    const [key] = keysOf("s1", 1);
    const check = { op: "check", key, if_revision: 0 };
    const { outcomes } = await run({ ops: [check, check], atomic: true });
    expect(outcomes.map((outcome) => outcome.key)).to.deep.equal([key, key]);
  });

  it("refuses an atomic batch as a whole, with the operation's index", async () => {
    const [key] = keysOf("s1", 1);
    s1.refuse = (request) =>
      request.kind === "write" && request.operation.ifRevision === 9
        ? new KvError("conflict", "it is at 0", { index: 1 })
        : undefined;
    const ops = [set(key!, 1), { op: "check", key, if_revision: 9 }];
    const { error } = await run({ ops, atomic: true });
    expect(error).to.include({ name: "conflict", index: 1, written: "no" });
    expect(s1.effects).to.deep.equal([]);
  });

  it("leaves the other shard's outcomes when one shard is gone", async () => {
    s1.fate = () => refusal("unavailable");
    const [a, b] = [keysOf("s1", 1)[0]!, keysOf("s2", 1)[0]!];
    const { outcomes } = await run({ ops: [set(a, 1), set(b, 1)] });
    expect(outcomes[0]?.error).to.include({ name: "unavailable", written: "no" });
    expect(outcomes[1]).to.include({ key: b });
    expect(s2.received.length, "what is answered is not sent again").to.equal(1);
  });

  async function run(body: object): Promise<Body> {
    const payload = Buffer.from(JSON.stringify(body));
    const running = runner.run(payload, undefined).catch((error: unknown) => {
      if (error instanceof KvError) return errorReply(error, "batch");
      throw error;
    });
    const reply = await clock.resolve(running);
    return JSON.parse(Buffer.from(reply.body).toString()) as Body;
  }
});

interface Outcome {
  readonly key?: string;
  readonly error?: { readonly name: string; readonly written: string; readonly index?: number };
}

interface Body extends Outcome {
  readonly outcomes: Outcome[];
}

/** Keys of a shard's positions. */
function keysOf(shard: "s1" | "s2", count: number): string[] {
  const keys: string[] = [];
  for (let number = 0; keys.length < count; number++) {
    const isOfFirst = positionOf(`key${number}`, 4) < 2;
    if (isOfFirst === (shard === "s1")) keys.push(`key${number}`);
  }
  return keys;
}

function set(key: string, value: unknown): { op: string; key: string; value: unknown } {
  return { op: "set", key, value };
}

function refusal(kind: ErrorName): KvError {
  return new KvError(kind, `the fake shard says ${kind}`);
}
