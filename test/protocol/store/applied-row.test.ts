/**
 * Applied row: written, read, damaged.
 */
import { expect } from "chai";
import type { Sequence, TimeMs } from "../../../protocol/ids.js";
import {
  decodeAppliedRow,
  encodeAppliedRow,
  STORE_FORMAT,
} from "../../../protocol/store/applied-row.js";
import { genesisOf, LOG_ID } from "../../support/log-writer.js";
import { expectDamageNoticed } from "./damaged-rows.js";

describe("applied row", () => {
  const row = {
    format: STORE_FORMAT,
    logId: LOG_ID,
    sequence: 12 as Sequence,
    logTime: 1_700_000_000_123 as TimeMs,
    chain: 2n ** 64n - 1n,
    messageHash: 0n,
    genesis: genesisOf(),
  } as const;

  it("is read as it was written", () => {
    expect(decodeAppliedRow(encodeAppliedRow(row))).to.deep.equal(row);
  });

  it("is known as damaged", () => {
    expectDamageNoticed(encodeAppliedRow(row), decodeAppliedRow);
  });
});
