/**
 * Repairs that are asked of a node: one after another, and not more than it can remember.
 */
import { expect } from "chai";
import { NodeRepair } from "../../../actors/node/node-repair.js";
import type { Repairer } from "../../../actors/ring-keeper/repairer.js";
import { KvError } from "../../../protocol/errors.js";
import type { Epoch, NodeName } from "../../../protocol/ids.js";
import { REPAIRS_MAX } from "../../../protocol/limits.js";
import {
  decodeRepairReply,
  type RepairReply,
  type RepairRequest,
} from "../../../protocol/node/repair.js";
import { refusal } from "../../support/failure.js";
import { ManualClock, seededChance } from "../../support/manual-clock.js";
import { MemoryNetwork } from "../../support/memory-bus.js";
import { names } from "../../support/memory-shard.js";
import { NotedLogger } from "../../support/noted-logger.js";

const node = "n1" as NodeName;
const TIMEOUT_MS = 60_000;

describe("repairs at a node", () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock, chance: seededChance(1) });
  const asker = network.connect("asker");
  /** The shards of those under way, and what ends each. */
  const begun: string[] = [];
  const ends: ((error?: KvError) => void)[] = [];
  const repairer: Pick<Repairer, "repair"> = {
    repair: ({ shard }: RepairRequest) =>
      new Promise((resolve, reject) => {
        begun.push(shard);
        const reply = { shard } as RepairReply;
        ends.push((error) => (error === undefined ? resolve(reply) : reject(error)));
      }),
  };
  const repair = new NodeRepair({
    names,
    node,
    bus: network.connect("n1"),
    clock,
    chance: seededChance(1),
    logger: new NotedLogger(),
    hosts: () => [],
    epoch: () => 1 as Epoch,
    repairer: repairer as Repairer,
  });
  const ask = async (shard: string): Promise<RepairReply> => {
    const data = Buffer.from(JSON.stringify({ shard, abandon: [] }));
    const reply = asker.request(names.node(node, "repair"), data, { timeoutMs: TIMEOUT_MS });
    return decodeRepairReply<RepairReply>((await reply).data);
  };
  before(() => repair.start());
  after(() => repair.stop());

  it("run one after another, and more than REPAIRS_MAX are refused", async () => {
    const asked = Array.from({ length: REPAIRS_MAX }, (_, index) => ask(`s${index + 1}`));
    await clock.advance(1_000);
    const error = await clock.resolve(refusal(ask("s99")));
    expect(error.kind).to.equal("overloaded");
    expect(error.details).to.include({ limit: "repairs", max: REPAIRS_MAX });
    for (const [index, each] of asked.entries()) {
      expect(begun).to.have.lengthOf(index + 1);
      // One that fails keeps nobody waiting.
      ends[index]?.(index === 0 ? new KvError("conflict", "not now") : undefined);
      if (index === 0) expect((await clock.resolve(refusal(each))).kind).to.equal("conflict");
      else expect((await clock.resolve(each)).shard).to.equal(`s${index + 1}`);
      await clock.advance(1_000);
    }
    const next = ask("s99");
    await clock.advance(1_000);
    ends.at(-1)?.();
    expect((await clock.resolve(next)).shard).to.equal("s99");
  });
});
