/**
 * Applier core: what single log entries do to a shard's records, and what its callers are told.
 */
import { encode } from "@msgpack/msgpack";
import { expect } from "chai";
import { ReplicaStopped } from "../../../../actors/shard/state/stopped.js";
import type { LogMessage } from "../../../../infra/log.js";
import { KvError } from "../../../../protocol/errors.js";
import type { Origin, Position, Sequence } from "../../../../protocol/ids.js";
import { EXPIRE_PER_ENTRY_MAX, TTL_MAX_MS } from "../../../../protocol/limits.js";
import { BEHAVIOUR_VERSION, encodeEntry, type EntryBody } from "../../../../protocol/log/entry.js";
import type { Operation, Outcome } from "../../../../protocol/operation.js";
import { positionOf } from "../../../../protocol/position.js";
import {
  check,
  del,
  entryBytes,
  genesisBytes,
  incr,
  limits,
  LogWriter,
  operation,
  patch,
  POSITIONS,
  set,
  START,
  touch,
  zeroOrigin,
} from "../../../support/log-writer.js";
import { ShardApplier } from "../../../support/shard-applier.js";
import { checkStore, dump } from "../../../support/store-check.js";

describe("applier core", () => {
  let writer: LogWriter;
  let applier: ShardApplier;
  beforeEach(async () => {
    writer = new LogWriter();
    applier = new ShardApplier();
    await applier.apply(writer.messages);
  });
  afterEach(() => checkStore(applier.store));

  const apply = (...operations: Operation[]): Promise<string[]> =>
    told(writer.operations(...operations));
  const applyAtomic = (...group: Operation[]): Promise<string[]> => told(writer.groups(group));
  async function told(message: LogMessage): Promise<string[]> {
    return (await applier.outcomes(message)).map(text);
  }

  describe("operations", () => {
    it("set, and set again at the position's next revision", async () => {
      expect(await apply(set("a", { n: 1 }))).to.deep.equal(["set 1 created"]);
      expect(await apply(set("a", { n: 2 }))).to.deep.equal(["set 2"]);
      expect(await applier.json("a")).to.deep.equal({ n: 2 });
    });

    it("meet conditions or are told the current revision", async () => {
      expect(await apply(set("a", 1, { ifRevision: 0 }))).to.deep.equal(["set 1 created"]);
      expect(await apply(set("a", 2, { ifRevision: 0 }))).to.deep.equal(["conflict revision 1"]);
      expect(await apply(set("b", 2, { ifRevision: 7 }))).to.deep.equal(["conflict revision 0"]);
      expect(await apply(del("a", { ifRevision: 1 }))).to.deep.equal(["del 2 existed"]);
      expect(await apply(check("a", 0), check("a", 1))).to.deep.equal([
        "check 0",
        "conflict revision 0",
      ]);
    });

    it("delete what is not there without taking a revision", async () => {
      expect(await apply(del("a"), set("a", 1))).to.deep.equal(["del 0", "set 1 created"]);
    });

    it("give the value before the write, if asked", async () => {
      const [, outcome] = await applier.outcomes(
        writer.operations(set("a", 1), set("a", 2, { returnPrevious: true })),
      );
      expect(outcome?.ok && outcome.done.previous?.revision).to.equal(1);
    });

    it("count from nothing, in the record itself and in a path of it", async () => {
      expect(await apply(incr("a", 5), incr("a", -2))).to.deep.equal([
        "incr 1 created 5",
        "incr 2 3",
      ]);
      expect(await apply(incr("o", 1, "stock.n"))).to.deep.equal(["incr 1 created 1"]);
      expect(await applier.json("o")).to.deep.equal({ stock: { n: 1 } });
    });

    it("touch sets an expiry and keeps all else; of nothing it is not-found", async () => {
      await apply(set("a", { n: 1 }));
      expect(await apply(touch("a", 5_000))).to.deep.equal([`touch 2 expires ${START + 5_000}`]);
      expect(await applier.json("a")).to.deep.equal({ n: 1 });
      expect(await apply(touch("b", 5_000))).to.deep.equal(["not-found"]);
    });

    it("patch from nothing, keep an expiry, and remove by null", async () => {
      expect(await apply(patch("a", { n: 1, m: 2 }, { ttl: 5_000 }))).to.deep.equal([
        `patch 1 created expires ${START + 5_000}`,
      ]);
      expect(await apply(patch("a", { m: null }))).to.deep.equal([
        `patch 2 expires ${START + 5_000}`,
      ]);
      expect(await applier.json("a")).to.deep.equal({ n: 1 });
    });

    it("patch and incr store the record's own format", async () => {
      const value = encode({ n: 1 });
      const contentType = "application/msgpack";
      await apply(operation({ verb: "set", key: "a", value, contentType, ttl: "never" }));
      await apply(patch("a", { m: 2 }), incr("a", 1, "n"));
      const record = await applier.record("a");
      expect(record?.contentType).to.equal(contentType);
      expect(Buffer.from(record?.value ?? [])).to.deep.equal(Buffer.from(encode({ n: 2, m: 2 })));
    });

    it("refuse to write down a number that they cannot read exactly", async () => {
      await apply(set("a", 0));
      await apply(json("set", "a", '{"n":12345678901234567890}'));
      expect(await apply(patch("a", { m: 1 }))).to.deep.equal(["unsupported"]);
      expect(await apply(incr("a", 1, "m"))).to.deep.equal(["unsupported"]);
      // The patch itself must be exact too.
      expect(await apply(json("patch", "b", '{"n":12345678901234567890}'))).to.deep.equal([
        "unsupported",
      ]);
      expect(await apply(json("patch", "b", '{"n":1,"n":2}'))).to.deep.equal(["unsupported"]);
    });

    it("refuse patch and incr of what has no structure", async () => {
      const value = Buffer.from("text");
      const contentType = "text/plain";
      await apply(operation({ verb: "set", key: "a", value, contentType, ttl: "never" }));
      expect(await apply(patch("a", {}), incr("a", 1))).to.deep.equal([
        "unsupported",
        "unsupported",
      ]);
    });

    it("hold the value limit against the result", async () => {
      const half = "x".repeat(limits.valueBytesMax / 2);
      expect(await apply(patch("a", { one: half }))).to.deep.equal(["patch 1 created"]);
      expect(await apply(patch("a", { two: half }))).to.deep.equal(["too-large"]);
      expect(await applier.json("a")).to.deep.equal({ one: half });
    });

    it("hold the index limits, and change nothing beyond them", async () => {
      const many = Object.fromEntries(Array.from({ length: 257 }, (_, n) => [`m${n}`, n]));
      const deep = JSON.parse(`${'{"o":'.repeat(9)}1${"}".repeat(9)}`) as unknown;
      const long = { ["p".repeat(513)]: 1 };
      const refusals = await apply(set("a", many), set("a", deep), set("a", long));
      expect(refusals).to.deep.equal(["limit-exceeded", "limit-exceeded", "limit-exceeded"]);
      expect(await applier.record("a")).to.equal(undefined);
    });

    it("refuse what only a hostile proposer would have let pass, and go on", async () => {
      expect(
        await apply(
          incr("a", Number.NaN),
          incr("a", 1, "\\"),
          touch("a", TTL_MAX_MS + 1),
          set("a", 1, { ttl: 2 ** 48 - 1 }),
          json("set", "a", "{"),
        ),
      ).to.deep.equal(["bad-request", "bad-request", "not-found", "bad-request", "bad-request"]);
    });

    it("change index and type with the content, with all types under one path", async () => {
      const values = [1, "one", true, null, [1, "one", [2]], { deep: 1 }, 1.5, "x".repeat(300)];
      for (const [index, value] of values.entries()) {
        await apply(set(`k${index}`, { same: value }), set("k", { same: value }));
        await checkStore(applier.store);
      }
      const contentType = "application/octet-stream";
      await apply(
        operation({ verb: "set", key: "k", value: Buffer.of(1), contentType, ttl: "never" }),
      );
      expect((await applier.record("k"))?.contentType).to.equal(contentType);
      expect(
        (await dump(applier.store, "i")).filter((row) => row.includes("isame")),
      ).to.have.length(
        // The ARRAY marker stands beside its elements; deep's OBJECT beside same.deep.
        values.length + 2 + 1,
      );
    });

    it("refuse a key that is not in its position, and read its record where it is", async () => {
      await apply(set("a", { n: 1 }));
      const position = (positionOf("a", POSITIONS) + 1) % POSITIONS;
      expect(await apply(set("a", 2, { position }), set("a", { n: 3 }))).to.deep.equal([
        "bad-request",
        "set 2",
      ]);
    });
  });

  describe("a shard that does not own all positions", () => {
    it("says that the position moved, and remembers nothing of the request", async () => {
      const [mine, foreign] = ["a", "b"];
      expect(positionOf("a", POSITIONS)).to.not.equal(positionOf("b", POSITIONS));
      writer = new LogWriter({ positions: [positionOf("a", POSITIONS)] });
      applier = new ShardApplier();
      await applier.apply(writer.messages);
      expect(await apply(set(mine, 1), set(foreign, 1, { request: "r" }))).to.deep.equal([
        "set 1 created",
        "unavailable moved",
      ]);
      expect(applier.state.outcomes.count).to.equal(0);
      expect(await apply(set(foreign, 2, { request: "r" }))).to.deep.equal(["unavailable moved"]);
    });
  });

  describe("atomic groups", () => {
    const [one, two, three] = ["{t}1", "{t}2", "{t}3"];

    it("take effect together, later operations seeing the earlier", async () => {
      const outcomes = await applyAtomic(set(one, 1), incr(one, 1), set(two, 2), check(two, 3));
      expect(outcomes).to.deep.equal(["set 1 created", "incr 2 2", "set 3 created", "check 3"]);
      expect(await applier.json(one)).to.equal(2);
    });

    it("change nothing if one is refused, and all are told which", async () => {
      await apply(set(one, 1));
      const refused = ["conflict revision 0 index 2", "conflict revision 0 index 2"];
      expect(
        await applyAtomic(set(one, 2), del(one), set(two, 1, { ifRevision: 5 })),
      ).to.deep.equal([...refused, refused[0]]);
      expect(await applier.json(one)).to.equal(1);
      expect(await apply(set(three, 1))).to.deep.equal(["set 2 created"]);
    });

    it("are refused across positions", async () => {
      expect(await applyAtomic(set("a", 1), set("b", 1))).to.deep.equal([
        "bad-request index 1",
        "bad-request index 1",
      ]);
    });

    it("are done once, and told as a whole when they are repeated", async () => {
      const group = (n: number): Operation[] => [
        set(one, n, { request: { id: "r", index: 0 } }),
        incr(two, 1, undefined, { request: { id: "r", index: 1 } }),
      ];
      const first = await applyAtomic(...group(1));
      expect(await applyAtomic(...group(1))).to.deep.equal(first);
      expect(await applier.json(two)).to.equal(1);
      expect(await applyAtomic(...group(2))).to.deep.equal([
        "bad-request index 0",
        "bad-request index 0",
      ]);
      const longer = set(three, 1, { request: { id: "r", index: 2 } });
      expect(await applyAtomic(...group(1), longer)).to.deep.equal(Array(3).fill("bad-request"));
    });
  });

  describe("requests with an id", () => {
    const request = "r1";

    it("are done once: in one entry, across entries, and after a restart", async () => {
      const counted = incr("a", 1, undefined, { request });
      expect(await apply(counted, counted)).to.deep.equal(["incr 1 created 1", "incr 1 created 1"]);
      expect(await apply(counted)).to.deep.equal(["incr 1 created 1"]);
      applier.restart();
      expect(await apply(counted)).to.deep.equal(["incr 1 created 1"]);
      expect(await applier.json("a")).to.equal(1);
    });

    it("are done once also when their entries share a batch", async () => {
      const counted = incr("a", 1, undefined, { request });
      await applier.apply([writer.operations(counted), writer.operations(counted)]);
      expect(await applier.json("a")).to.equal(1);
    });

    it("get a refusal again as it was, though it would be met now", async () => {
      const conditional = set("a", 2, { ifRevision: 1, request });
      expect(await apply(conditional)).to.deep.equal(["conflict revision 0"]);
      await apply(set("a", 1));
      expect(await apply(conditional)).to.deep.equal(["conflict revision 0"]);
      applier.restart();
      expect(await apply(conditional)).to.deep.equal(["conflict revision 0"]);
    });

    it("are told without the value before the write when repeated", async () => {
      await apply(set("a", 1));
      const asking = set("a", 2, { returnPrevious: true, request });
      const [first] = await applier.outcomes(writer.operations(asking));
      expect(first?.ok && first.done.previous?.revision).to.equal(1);
      const [again] = await applier.outcomes(writer.operations(asking));
      expect(again?.ok && again.done.previous).to.equal(undefined);
    });

    it("must not be used for something else, on the same key", async () => {
      await apply(set("a", 1, { request }));
      expect(await apply(set("a", 2, { request }))).to.deep.equal(["bad-request"]);
      expect(await apply(set("a", 1, { request: { id: request, index: 1 } }))).to.deep.equal([
        "set 2",
      ]);
    });

    it("are forgotten when the window has passed, by log time", async () => {
      await apply(set("a", 1, { request }));
      writer.time += 60_000;
      expect(await apply(set("a", 1, { request }))).to.deep.equal(["set 1 created"]);
      writer.time += 20_000;
      await told(writer.barrier());
      expect(applier.state.outcomes.count).to.equal(0);
      expect(await apply(set("a", 1, { request }))).to.deep.equal(["set 2"]);
    });

    it("that are UUIDv7 are refused when too old or too far ahead", async () => {
      const at = (ms: number): Operation => set("a", 1, { request: uuidV7(START + ms) });
      const outcomes = await apply(at(-60_001), at(-60_000), at(10_000), at(10_001));
      expect(outcomes).to.deep.equal(["in-doubt", "set 1 created", "set 2", "bad-request"]);
      const [refusal] = await applier.outcomes(writer.operations(at(-60_001)));
      expect(refusal?.ok === false && refusal.error.retryable).to.equal(false);
    });

    it("are overloaded beyond what is remembered, until the window has passed", async () => {
      writer = new LogWriter({ limits: { ...limits, outcomesMax: 2 } });
      applier = new ShardApplier();
      await applier.apply(writer.messages);
      const at = (id: string): Operation => set("a", 1, { request: id });
      await apply(at("1"), at("2"));
      expect(await apply(at("3"), at("2"), set("a", 1))).to.deep.equal([
        "overloaded",
        "set 2",
        "set 3",
      ]);
      applier.restart();
      expect(await apply(at("3"))).to.deep.equal(["overloaded"]);
      writer.time += 80_000;
      await told(writer.barrier());
      expect(await apply(at("3"))).to.deep.equal(["set 4"]);
    });
  });

  describe("expiry", () => {
    it("goes by log time, and its going takes a revision", async () => {
      await apply(set("a", { n: 1 }, { ttl: 1_000 }));
      writer.time += 999;
      expect(await apply(check("a", 1))).to.deep.equal(["check 1"]);
      writer.time += 1;
      await told(writer.barrier());
      expect(await applier.record("a")).to.equal(undefined);
      expect(await apply(set("a", 1))).to.deep.equal(["set 3 created"]);
    });

    it("comes before the entry's operations, and is not undone by a refusal", async () => {
      await apply(set("a", { n: 1 }, { ttl: 1_000 }));
      writer.time += 1_000;
      expect(await apply(set("a", 2, { ifRevision: 1 }))).to.deep.equal(["conflict revision 0"]);
      expect(await applier.record("a")).to.equal(undefined);
    });

    it("does not follow a clock that went back", async () => {
      await apply(set("a", 1, { ttl: 5_000 }));
      writer.time -= 60_000;
      expect(await apply(touch("a", 1_000))).to.deep.equal([`touch 2 expires ${START + 1_000}`]);
    });

    it("does not come for a record whose expiry was taken away or put off", async () => {
      await apply(set("a", 1, { ttl: 1_000 }), set("b", 1, { ttl: 1_000 }));
      await apply(touch("a", "never"), touch("b", 60_000));
      writer.time += 30_000;
      expect(await apply(check("a", 2), check("b", 2))).to.deep.equal(["check 2", "check 2"]);
    });

    it("is the same when several entries would share a batch", async () => {
      const first = writer.operations(set("a", 1, { ttl: 1_000 }), set("b", 1, { ttl: 5_000 }));
      writer.time += 1_500;
      const second = writer.operations(set("a", 2, { ifRevision: 1 }));
      writer.time += 4_000;
      const results = await applier.apply([first, second, writer.operations(check("b", 0))]);
      expect(results.map(({ outcomes }) => outcomes.map(text))).to.deep.equal([
        ["set 1 created expires 1700000001000", "set 1 created expires 1700000005000"],
        ["conflict revision 0"],
        ["check 0"],
      ]);
    });

    it("removes a bounded number with each entry, and counts all as absent", async () => {
      const many = Array.from({ length: EXPIRE_PER_ENTRY_MAX + 5 }, (_, n) => `{t}${n}`);
      await apply(...many.map((key) => set(key, 1, { ttl: 1_000 })));
      writer.time += 1_000;
      await told(writer.barrier());
      expect(await checkStore(applier.store)).to.have.property("size", 5);
      const [left] = (await checkStore(applier.store)).keys();
      expect(await apply(check(left as string, 0))).to.deep.equal(["check 0"]);
      expect(await checkStore(applier.store)).to.have.property("size", 0);
    });

    it("works in the last position there can be", async () => {
      applier = new ShardApplier(65_536);
      const positions = [65_535 as Position];
      writer = new LogWriter({ positionCount: 65_536, positions });
      await applier.apply(writer.messages);
      const key = keyIn(65_535, 65_536);
      const expiring = { ...set(key, 1, { ttl: 1_000 }), position: 65_535 as Position };
      await apply(expiring);
      writer.time += 1_000;
      await told(writer.barrier());
      expect(await applier.record(key)).to.equal(undefined);
      expect(await dump(applier.store, "x")).to.deep.equal([]);
    });
  });

  describe("the log", () => {
    it("must begin with the genesis of this log", async () => {
      const first = (data: Uint8Array): LogMessage[] => {
        const other = new LogWriter();
        return [{ ...(other.messages[0] as LogMessage), data }];
      };
      const wrong: Uint8Array[] = [
        Buffer.from("no entry"),
        entryBytes({ kind: "open" }, zeroOrigin, 1),
        genesisBytes({ logId: "00000000000000ff" as never }),
        genesisBytes({ positionCount: 1_024 }),
      ];
      for (const data of wrong) {
        const reason = await stopReason(() => new ShardApplier().apply(first(data)));
        expect(reason).to.equal("log-unknown");
      }
    });

    it("may hold what is no entry: all pass over it, and alarm", async () => {
      const [result] = await applier.apply([writer.append(Buffer.from("no entry"))]);
      expect(result?.kind).to.equal("alarm");
      expect(await apply(set("a", 1))).to.deep.equal(["set 1 created"]);
    });

    it("may hold what claims a version above the log's: all pass over it, and alarm", async () => {
      const { chain } = applier.state;
      const bytes = encodeEntry({
        kind: "barrier",
        version: BEHAVIOUR_VERSION + 1,
        origin: writer.origin,
        number: 2,
        basisSequence: 0 as Sequence,
        basisChain: 0n,
      });
      const [result] = await applier.apply([writer.append(bytes)]);
      expect(result?.kind).to.equal("alarm");
      expect(result?.reason).to.contain(`version ${BEHAVIOUR_VERSION + 1}`);
      expect(applier.state.chain).to.equal(chain);
      expect(await apply(set("a", 1))).to.deep.equal(["set 1 created"]);
    });

    it("stops a program that is older than the log's version", async () => {
      const version = BEHAVIOUR_VERSION + 1;
      const other = new LogWriter();
      const genesis = { ...(other.messages[0] as LogMessage) };
      genesis.data = genesisBytes({ behaviourVersion: version });
      const late = new ShardApplier();
      await late.apply([genesis]);
      const head = { origin: writer.origin, number: 2, basisSequence: 0 as Sequence };
      const bytes = encodeEntry({ ...head, kind: "barrier", version, basisChain: 0n });
      const second = { ...other.append(bytes), sequence: 2 as Sequence };
      expect(await stopReason(() => late.apply([second]))).to.equal("upgrade-needed");
    });

    it("must not hold entries of a proposer with another past", async () => {
      const { sequence, chain } = applier.state;
      const barrier = (basis: { sequence: number; chain: bigint }): LogMessage =>
        writer.append(entryBytes({ kind: "barrier" }, zeroOrigin, 1, basis));
      const [same] = await applier.apply([barrier({ sequence, chain })]);
      expect(same?.kind).to.equal("skipped");
      const other = barrier({ sequence, chain: chain + 1n });
      expect(await stopReason(() => applier.apply([other]))).to.equal("log-diverged");
      applier.restart();
      const ahead = { ...other, data: barrier({ sequence: 9, chain: 1n }).data };
      expect(await stopReason(() => applier.apply([ahead]))).to.equal("log-diverged");
    });

    it("counts each number of an origin once, and a fence kills those below it", async () => {
      const origin = "ef".repeat(16) as Origin;
      const append = async (body: EntryBody, number: number): Promise<string> => {
        const [result] = await applier.apply([writer.append(entryBytes(body, origin, number))]);
        return result?.kind ?? "";
      };
      const counting: EntryBody = { kind: "operations", groups: [[incr("a", 1)]] };
      expect(await append(counting, 1)).to.equal("skipped");
      expect(await append({ kind: "open" }, 1)).to.equal("accepted");
      expect(await append({ kind: "open" }, 1)).to.equal("skipped");
      expect(await append(counting, 3)).to.equal("skipped");
      expect(await append(counting, 2)).to.equal("accepted");
      expect(await append(counting, 2)).to.equal("skipped");
      expect(await append({ kind: "fence" }, 5)).to.equal("accepted");
      expect(await append(counting, 3)).to.equal("skipped");
      applier.restart();
      expect(await append(counting, 5)).to.equal("skipped");
      expect(await append(counting, 6)).to.equal("accepted");
      expect(await applier.json("a")).to.equal(2);
    });

    it("leaves outcome rows until the window and the relay have passed them", async () => {
      await apply(set("a", 1, { request: "r" }));
      writer.time += 80_000;
      await told(writer.barrier());
      expect(await dump(applier.store, "q")).to.have.length(4);
      applier.relayFloor = 3 as Sequence;
      await told(writer.barrier());
      expect(await dump(applier.store, "q")).to.have.length(3);
      applier.restart();
      applier.relayFloor = 100 as Sequence;
      await told(writer.barrier());
      // Those of the window stay, the last one always.
      expect(await dump(applier.store, "q")).to.have.length(3);
    });
  });
});

function json(verb: "set" | "patch", key: string, value: string): Operation {
  const contentType = "application/json";
  return operation({ verb, key, value: Buffer.from(value), contentType, ttl: "never" });
}

function text(outcome: Outcome): string {
  if (!outcome.ok) {
    const { kind, details } = outcome.error;
    const shown = ["moved", "revision", "index"].flatMap((name) => {
      const value = details[name];
      if (value === undefined) return [];
      return value === true ? [name] : [`${name} ${value as number}`];
    });
    return [kind, ...shown].join(" ");
  }
  const { verb, revision, created, existed, number, expiresAt } = outcome.done;
  const words: (string | number)[] = [verb, revision];
  const creates = verb === "set" || verb === "patch" || verb === "incr";
  if (created && creates) words.push("created");
  if (existed && verb === "del") words.push("existed");
  if (number !== undefined) words.push(number);
  if (expiresAt !== 0 && verb !== "del" && verb !== "check") words.push("expires", expiresAt);
  return words.join(" ");
}

async function stopReason(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
    return "";
  } catch (error) {
    if (error instanceof ReplicaStopped) return error.reason;
    if (error instanceof KvError) return error.kind;
    throw error;
  }
}

function uuidV7(ms: number): string {
  const digits = ms.toString(16).padStart(12, "0");
  return `${digits.slice(0, 8)}-${digits.slice(8)}-7000-8000-000000000000`;
}

function keyIn(position: number, positionCount: number): string {
  for (let number = 0; ; number += 1) {
    if (positionOf(`k${number}`, positionCount) === position) return `k${number}`;
  }
}
