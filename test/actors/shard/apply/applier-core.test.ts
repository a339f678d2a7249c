/**
 * Applier core: what single log entries do to a shard's records, and what its callers are told.
 */
import { expect } from "chai";
import { ReplicaStopped } from "../../../../actors/shard/state/stopped.js";
import type { LogMessage } from "../../../../infra/log.js";
import { KvError } from "../../../../protocol/errors.js";
import type { Origin, Sequence } from "../../../../protocol/ids.js";
import { BEHAVIOUR_VERSION, encodeEntry, type EntryBody } from "../../../../protocol/log/entry.js";
import type { Operation } from "../../../../protocol/operation.js";
import {
  entryBytes,
  genesisBytes,
  incr,
  LogWriter,
  set,
  zeroOrigin,
} from "../../../support/log-writer.js";
import { ShardApplier, shownOutcome } from "../../../support/shard-applier.js";
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

  async function told(message: LogMessage): Promise<string[]> {
    return (await applier.outcomes(message)).map(shownOutcome);
  }

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
      const { decidedSequence: sequence, chain } = applier.state;
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
