/**
 * Log fit: whether a store and its log's genesis belong together.
 */
import { expect } from "chai";
import { fitOf, type Fit } from "../../../../actors/shard/state/log-fit.js";
import type { LogId, Sequence } from "../../../../protocol/ids.js";
import { chainHex } from "../../../../protocol/log/entry.js";
import { genesisOf, LOG_ID } from "../../../support/log-writer.js";

const NEW_ID = "00000000000000b2" as LogId;

describe("a store and its log's genesis", () => {
  const parent = { logId: LOG_ID, sequence: 9 as Sequence, chain: chainHex(5n) };
  const at = (sequence: number, chain = 5n, logId = LOG_ID): Fit => {
    const place = { logId, sequence: sequence as Sequence, chain };
    return fitOf(place, genesisOf({ logId: NEW_ID, parent }));
  };

  it("fit at the parent's end with the same chain only", () => {
    expect(at(9)).to.equal("continues");
    expect(at(8)).to.equal("behind");
    expect(at(10)).to.equal("past");
    expect(at(9, 6n)).to.equal("other-past");
    expect(at(9, 5n, NEW_ID)).to.equal("other-log");
  });

  it("fit for a new store only where the log begins with the shard", () => {
    const none = { logId: undefined, sequence: 0 as Sequence, chain: 0n };
    expect(fitOf(none, genesisOf({ logId: NEW_ID }))).to.equal("continues");
    expect(fitOf(none, genesisOf({ logId: NEW_ID, parent }))).to.equal("empty");
  });

  it("do not fit where the log goes on from none and the store has applied some", () => {
    const place = { logId: LOG_ID, sequence: 9 as Sequence, chain: 5n };
    expect(fitOf(place, genesisOf({ logId: NEW_ID }))).to.equal("other-log");
  });
});
