/**
 * A node's copy of the ring, and a bucket that has lost what the copy has.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { LogName } from "../../../actors/ring-keeper/ring-keeper.js";
import {
  keepRing,
  keptRing,
  notBehind,
  putBack,
  type OldLogs,
} from "../../../infra/main/ring-copy.js";
import type { Epoch, TimeMs } from "../../../protocol/ids.js";
import { decodeRing, ringBytes } from "../../../protocol/ring/ring-bytes.js";
import type { RingTable } from "../../../protocol/ring/ring.js";
import { refusal } from "../../support/failure.js";
import { MemoryRing } from "../../support/memory-ring.js";
import { NotedLogger } from "../../support/noted-logger.js";
import { repaired, smallRing } from "../../support/small-ring.js";

const first = smallRing([0, 1], [2, 3]);
const second = repaired(first, 0);
const third = repaired(second, 1);
const CHANGED_AT_MS = 1_000 as TimeMs;

/** When each log got its last entry, by the log's id; and what was done with them. */
class NotedLogs implements OldLogs {
  readonly times = new Map<string, number>();
  readonly sealed: string[] = [];
  onSeal: (log: LogName) => void = () => undefined;

  seal(log: LogName): Promise<void> {
    this.sealed.push(log.logId);
    this.onSeal(log);
    return Promise.resolve();
  }

  lastTimeOf({ logId }: LogName): Promise<TimeMs | undefined> {
    return Promise.resolve(this.times.get(logId) as TimeMs | undefined);
  }
}

describe("a node's copy of the ring", () => {
  let folder: string;
  let logger: NotedLogger;
  const keep = (ring: RingTable, changedAtMs = CHANGED_AT_MS): Promise<void> =>
    keepRing(folder, { ring, changedAtMs }, logger);
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-ring-copy-"));
    logger = new NotedLogger();
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("is the last one that was kept, with its time", async () => {
    expect(await keptRing(folder, logger)).to.equal(undefined);
    for (const [ring, at] of [
      [first, 1],
      [first, 1],
      [first, 2],
      [third, 3],
    ] as const) {
      await keep(ring, at as TimeMs);
      expect(await keptRing(folder, logger)).to.deep.equal({ ring, changedAtMs: at });
    }
    expect(logger.lines).to.deep.equal([]);
    expect(readdirSync(folder)).to.deep.equal(["ring.json"]);
  });

  it("is renamed, and this is said, where the ring is an older one or another", async () => {
    await keep(third);
    await keep(second);
    await keep(repaired(first, 1));
    expect((await keptRing(folder, logger))?.ring).to.deep.equal(repaired(first, 1));
    expect(logger.messages("error")).to.have.lengthOf(2);
    expect(readdirSync(folder)).to.deep.equal(["ring-2.json", "ring-3.json", "ring.json"]);
  });

  for (const text of ["", "{", "null", '{"store":"kv"}', '{"changed_at_ms":1,"ring":{}}']) {
    it(`is none, and this is said, when it is ${JSON.stringify(text)}`, async () => {
      writeFileSync(join(folder, "ring.json"), text);
      expect(await keptRing(folder, logger)).to.equal(undefined);
      expect(logger.messages("error")).to.deep.equal([
        "cannot read the node's copy of the ring, ignoring it",
      ]);
      await keep(second);
      expect((await keptRing(folder, logger))?.ring).to.deep.equal(second);
    });
  }

  it("that cannot be read or written keeps nobody from serving, and this is said", async () => {
    mkdirSync(join(folder, "ring.json"));
    expect(await keptRing(folder, logger)).to.equal(undefined);
    await keep(first);
    expect(logger.messages("error").at(-1)).to.equal("could not write the node's copy of the ring");
  });
});

describe("a ring's bucket that has lost changes", () => {
  let cell: MemoryRing;
  let logs: NotedLogs;
  let logger: NotedLogger;
  const stored = (): RingTable => decodeRing(cell.value ?? new Uint8Array());
  const back = (ring: RingTable, changedAtMs = CHANGED_AT_MS): Promise<string | undefined> =>
    putBack(cell, logs, { ring, changedAtMs }, logger);
  const [logOne, logTwo] = first.shards.map(({ logId }) => logId) as string[] as [string, string];
  beforeEach(() => {
    cell = new MemoryRing();
    logs = new NotedLogs();
    logger = new NotedLogger();
    cell.put(ringBytes(first));
  });

  it("gets them back, once the logs that they ended have ended", async () => {
    logs.times.set(logOne, CHANGED_AT_MS);
    logs.onSeal = () => expect(cell.revision).to.equal(1);
    expect(await back(third)).to.equal(undefined);
    expect(stored()).to.deep.equal(third);
    expect(logs.sealed).to.deep.equal([logOne, logTwo]);
    expect(logger.lines.map(({ fields }) => fields)).to.deep.equal([{ epoch: third.epoch }]);
    await back(third);
    expect(cell.revision).to.equal(2);
  });

  it("gets them back from the one who has most of them, whoever comes first", async () => {
    await back(second);
    expect(logs.sealed).to.deep.equal([logOne]);
    await back(third);
    await back(second);
    expect(stored()).to.deep.equal(third);
    expect(cell.revision).to.equal(3);
  });

  it("does not where the old log was written since", async () => {
    logs.times.set(logTwo, CHANGED_AT_MS + 1);
    const problem = await back(third);
    expect(problem).to.match(/it has epoch 1, this node has seen 3\), and s2 was written since/);
    expect(problem).to.contain(`in the log ${logTwo}`);
    expect(logs.sealed).to.deep.equal([]);
    expect(cell.revision).to.equal(1);
    // Of a log that stays nobody asks.
    expect(await back(second)).to.equal(undefined);
  });

  it("does not where the old log was written in the moment before it was ended", async () => {
    logs.onSeal = ({ logId }) => logs.times.set(logId, CHANGED_AT_MS + 1);
    expect(await back(second)).to.match(/s1 was written since/);
    expect(cell.revision).to.equal(1);
  });

  it("is left alone if it is empty, newer, or was changed in another way since", async () => {
    const kept = { ring: third, changedAtMs: CHANGED_AT_MS };
    const empty = new MemoryRing();
    await putBack(empty, logs, kept, logger);
    expect(empty.value).to.equal(undefined);
    for (const ring of [third, repaired(first, 1), smallRing([0], [1, 2, 3])]) {
      cell.put(ringBytes(ring));
      const { revision } = cell;
      expect(await back(second)).to.equal(undefined);
      expect(cell.revision).to.equal(revision);
    }
    expect(logs.sealed).to.deep.equal([]);
    expect(logger.lines).to.deep.equal([]);
  });

  it("is looked at again when somebody was first", async () => {
    logs.onSeal = () => cell.put(ringBytes(repaired(first, 1)));
    await back(second);
    expect(stored()).to.deep.equal(repaired(first, 1));
  });

  it("is not known to have them while it does not answer", async () => {
    cell.isAway = true;
    expect(await refusal(back(second))).to.have.property("kind", "unavailable");
    cell.isAway = false;
    cell.loseNextAnswer();
    expect(await refusal(back(second))).to.have.property("kind", "in-doubt");
    await back(second);
    expect(stored()).to.deep.equal(second);
    expect(cell.revision).to.equal(2);
  });

  it("is no ground for a repair while it is behind what the node has seen", async () => {
    let seen = first;
    const guarded = notBehind(cell, () => seen);
    expect(await guarded.read()).to.deep.equal(await cell.read());
    seen = second;
    expect(await refusal(guarded.read())).to.have.property("kind", "unavailable");
    cell.put(ringBytes(second));
    expect(await guarded.update(ringBytes(third), 2)).to.equal(3);
    expect(await guarded.read()).to.deep.equal(await cell.read());
  });

  it("is none either once somebody has written over all that it keeps", async () => {
    cell.put(ringBytes({ ...first, epoch: (2 ** 53) as Epoch }));
    const { kind, message } = await refusal(notBehind(cell, () => first).read());
    expect(kind).to.equal("unavailable");
    expect(message).to.match(/was overwritten \(.*epoch is 9007199254740992.*ring\.json/);
  });
});
