/**
 * Batch progress: what is sent again, what is not, and what is said of it in the end.
 */
import { expect } from "chai";
import fc from "fast-check";
import { BatchRunner } from "../../../actors/coordinator/batch-split.js";
import { KvError, type ErrorName } from "../../../protocol/errors.js";
import { Names } from "../../../protocol/nats/subjects.js";
import { positionOf } from "../../../protocol/position.js";
import { errorReply } from "../../../protocol/reply/subject.js";
import { FakeShard, type MessageFate } from "../../support/fake-shard.js";
import { ManualClock, seededChance } from "../../support/manual-clock.js";
import { MemoryNetwork } from "../../support/memory-bus.js";
import { smallRing } from "../../support/small-ring.js";

const names = new Names("kv");

const ring = smallRing([0, 1], [2, 3]);

const big = "x".repeat(200_000);

describe("progress of a batch", () => {
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

  it("repeats what had no answer, with the same ids, and nothing takes effect twice", async () => {
    s1.fate = first("lose");
    const [key] = keysOf("s1", 1);
    const { outcomes } = await run({ ops: [set(key!, 1), set(key!, 2)] });
    expect(outcomes.map(({ error }) => error)).to.deep.equal([undefined, undefined]);
    expect(s1.received.length).to.equal(2);
    expect(valuesOf(s1)).to.deep.equal(["1", "2"]);
  });

  for (const kind of ["unavailable", "overloaded"] as const) {
    it(`says in-doubt of what had no answer once and is ${kind} from then on`, async () => {
      s1.fate = (number) => (number === 1 ? "delay" : refusal(kind));
      const [key] = keysOf("s1", 1);
      const { outcomes } = await run({ ops: [set(key!, 1)] });
      expect(outcomes[0]?.error).to.include({ name: "in-doubt", written: "unknown" });
      expect(valuesOf(s1)).to.deep.equal(["1"]);
    });

    it(`says so of an atomic batch that is ${kind} from then on`, async () => {
      s1.fate = (number) => (number === 1 ? "delay" : refusal(kind));
      const [key] = keysOf("s1", 1);
      const { error } = await run({ ops: [set(key!, 1), set(key!, 2)], atomic: true });
      expect(error).to.include({ name: "in-doubt", written: "unknown" });
      expect(valuesOf(s1)).to.deep.equal(["1", "2"]);
    });
  }

  it("says of a get without an answer that nothing was written", async () => {
    s1.fate = () => "delay";
    const { outcomes } = await run({ ops: [{ op: "get", key: keysOf("s1", 1)[0] }] });
    expect(outcomes[0]?.error).to.include({ name: "unavailable", written: "no" });
  });

  it("sends what follows for a shard only when what comes before it is resolved", async () => {
    const [key] = keysOf("s1", 1);
    // Three values of 200 kB are more than one message takes.
    s1.fate = (number) => (["delay", refusal("overloaded")] as const)[number - 1] ?? "do";
    const ops = [set(key!, big + 1), set(key!, big + 2), set(key!, big + 3)];
    await run({ ops });
    expect(valuesOf(s1).map((value) => value.at(-2))).to.deep.equal(["1", "2", "3"]);
    expect(s1.received.map((requests) => requests.length)).to.deep.equal([2, 2, 2, 1]);
  });

  it("does not send an operation again that a later one on its key has overtaken", async () => {
    const [key, other] = keysOf("s1", 2);
    s1.refuse = (request, message) => {
      const isFirst = message === 1 && request.kind === "write" && request.operation.request?.index;
      return isFirst === 0 || isFirst === 2 ? refusal("unavailable") : undefined;
    };
    const { outcomes } = await run({ ops: [set(key!, 1), set(key!, 2), set(other!, 3)] });
    expect(outcomes[0]?.error).to.include({ name: "unavailable", written: "no" });
    expect(outcomes[1]).to.include({ key });
    expect(outcomes[2], "nothing has overtaken this one").to.include({ key: other });
    expect(valuesOf(s1)).to.deep.equal(["2", "3"]);
  });

  it("does not do what follows one on its key that is refused for good here", async () => {
    const [key, other] = keysOf("s1", 2);
    // The first is not asked again; the second was not done because of it, and could be.
    s1.refuse = (request, message) => {
      if (message > 1 || request.kind !== "write" || request.operation.key !== key)
        return undefined;
      return refusal(request.operation.request?.index === 0 ? "overloaded" : "unavailable");
    };
    const { outcomes } = await run({ ops: [set(key!, 1), set(key!, 2), set(other!, 3)] });
    expect(outcomes[0]?.error).to.include({ name: "overloaded", written: "no" });
    expect(outcomes[1]?.error).to.include({ name: "unavailable", written: "no" });
    expect(valuesOf(s1), "sent again, both are done in order").to.deep.equal(["3"]);
  });

  it("does not do what follows one on its key in a later message, either", async () => {
    const [key, other] = keysOf("s1", 2);
    s1.fate = first(refusal("overloaded"));
    const ops = [set(key!, big + 1), set(key!, big + 2), set(key!, 3), set(other!, big + 4)];
    const { outcomes } = await run({ ops: [...ops, set(key!, big + 5)] });
    const errors = outcomes.map(({ error }) => error?.name);
    const refused = ["overloaded", "overloaded", "overloaded"];
    expect(errors).to.deep.equal([...refused, undefined, "unavailable"]);
    expect(valuesOf(s1).map((value) => value.at(-2))).to.deep.equal(["4"]);
  });

  it("keeps the order on each key, and its word, whatever happens to messages", async () => {
    const fate = fc.constantFrom<MessageFate>(
      ...(["do", "do", "lose", "delay"] as const),
      refusal("unavailable"),
      refusal("overloaded"),
    );
    const key = fc.constantFrom(...keysOf("s1", 2), ...keysOf("s2", 1));
    const operation = fc.record({ key, isBig: fc.boolean() });
    const sent = fc.array(operation, { minLength: 1, maxLength: 8 });
    const fates = fc.array(fate, { maxLength: 6 });
    const scenario = fc.record({ sent, first: fates, second: fates, delayMs: fc.nat(9_000) });
    const property = fc.asyncProperty(scenario, async ({ sent, first, second, delayMs }) => {
      start();
      [s1.fate, s2.fate] = [first, second].map((list) => (n: number) => list[n - 1] ?? "do") as [
        FakeShard["fate"],
        FakeShard["fate"],
      ];
      s1.delayMs = s2.delayMs = delayMs;
      const ops = sent.map(({ key, isBig }, index) => set(key, (isBig ? big : "") + index));
      const { outcomes } = await run({ ops });
      await clock.runUntilIdle();
      const done = [...s1.effects, ...s2.effects];
      const indexes = done.map(({ request }) => request?.index ?? -1);
      expect(new Set(indexes).size, "none takes effect twice").to.equal(indexes.length);
      for (const each of new Set(ops.map(({ key }) => key))) {
        const ofKey = indexes.filter((index) => ops[index]?.key === each);
        expect(ofKey, "in order").to.deep.equal(ofKey.toSorted((a, b) => a - b));
      }
      for (const [index, { error }] of outcomes.entries()) {
        const isDone = indexes.includes(index);
        if (error === undefined) expect(isDone, "what is answered is done").to.equal(true);
        if (error?.written === "no") expect(isDone, "`no` is true").to.equal(false);
      }
    });
    await fc.assert(property, { numRuns: 60 });
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

function valuesOf(shard: FakeShard): string[] {
  return shard.effects.map((operation) =>
    operation.verb === "set" ? Buffer.from(operation.value).toString() : operation.verb,
  );
}

function first(fate: MessageFate): FakeShard["fate"] {
  return (number) => (number === 1 ? fate : "do");
}

function refusal(kind: ErrorName): KvError {
  return new KvError(kind, `the fake shard says ${kind}`);
}
