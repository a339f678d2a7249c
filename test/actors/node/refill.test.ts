/**
 * A store that is filled from another node's, where the first one that is asked has none to give.
 */
import { expect } from "chai";
import { refillStore } from "../../../actors/node/refill.js";
import { SeedSource } from "../../../actors/node/seed-source.js";
import { KvError } from "../../../protocol/errors.js";
import type { LogId, NodeName, ShardId } from "../../../protocol/ids.js";
import { encodeSeedReply, encodeSeedRow, parseSeedRequest } from "../../../protocol/node/seed.js";
import { set } from "../../support/log-writer.js";
import { seededChance } from "../../support/manual-clock.js";
import { MemoryShard, names } from "../../support/memory-shard.js";
import { Disk } from "../../support/memory-store.js";
import { NotedLogger } from "../../support/noted-logger.js";
import { appliedRow } from "../../support/store-check.js";

const strangeRow = encodeSeedRow({ key: Buffer.from("d"), value: Buffer.from("x") });
/** What the first source answers. */
const answers: readonly (readonly [name: string, reply: Uint8Array])[] = [
  ["refuses", encodeSeedReply(new KvError("unavailable", "not yet"))],
  ["tells an error that is not JSON", Buffer.from("\x02{")],
  ["answers without a flag", Buffer.from("\x07")],
  ["has a damaged store", encodeSeedReply({ isLast: true, bytes: strangeRow })],
  ["ends within a row", encodeSeedReply({ isLast: true, bytes: strangeRow.subarray(0, 9) })],
];

describe("a refill", () => {
  for (const [name, reply] of answers) {
    it(`takes the next source's store where the first ${name}`, async () => {
      const memory = new MemoryShard();
      const [sound] = await memory.startServing("n3");
      await memory.write(set("k", 1));
      const source = new SeedSource(sound!.store, memory.clock);
      const first = memory.network.connect("n2");
      first.subscribe(names.node("n2" as NodeName, "seed"), undefined, (message) => {
        first.publish(message.reply ?? "", reply);
      });
      const second = memory.network.connect("n3-seed");
      second.subscribe(names.node("n3" as NodeName, "seed"), undefined, (message) => {
        void source.answer(parseSeedRequest(message.data)).then((part) => {
          second.publish(message.reply ?? "", encodeSeedReply(part));
        });
      });
      const disk = new Disk();
      const logger = new NotedLogger();
      const filled = refillStore({
        names,
        node: "n1" as NodeName,
        shard: {
          shard: "s1" as ShardId,
          logId: "0123456789abcdef" as LogId,
          nodes: ["n1", "n2", "n3"] as NodeName[],
          weight: 1,
          positions: [],
        },
        bus: memory.network.connect("n1"),
        shelf: {
          openDraft: () => Promise.resolve(disk.open()),
          useDraft: () => Promise.resolve([]),
        },
        clock: memory.clock,
        chance: seededChance(1),
        logger,
        signal: new AbortController().signal,
      });
      await memory.clock.resolve(filled);
      expect(logger.lines.at(-1)?.fields).to.include({ source: "n3", keys: 1 });
      expect(await appliedRow(disk.open())).to.not.equal(undefined);
    });
  }
});
