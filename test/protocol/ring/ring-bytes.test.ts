/**
 * The ring's bytes, both ways, and what bytes that are not a ring become.
 */
import { expect } from "chai";
import { KvError } from "../../../protocol/errors.js";
import { decodeRing, ringBytes } from "../../../protocol/ring/ring-bytes.js";
import { encodeRing } from "../../../protocol/ring/ring.js";
import { smallRing } from "../../support/small-ring.js";

describe("the ring's bytes", () => {
  const ring = smallRing([0, 1], [2, 3]);

  it("are the JSON of the table, and are read as they were written", () => {
    const bytes = ringBytes(ring);
    expect(JSON.parse(Buffer.from(bytes).toString())).to.deep.equal(
      JSON.parse(JSON.stringify(encodeRing(ring))),
    );
    expect(decodeRing(bytes)).to.deep.equal(ring);
  });

  it("are refused as internal if they are not JSON or not a ring", () => {
    const bytes = ringBytes(ring);
    for (const each of [bytes.subarray(1), new Uint8Array(), Buffer.from("{}")]) {
      expect(() => decodeRing(each))
        .to.throw(KvError)
        .with.property("kind", "internal");
    }
  });
});
