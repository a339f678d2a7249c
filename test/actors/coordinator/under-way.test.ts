/**
 * How much a coordinator works on at once: so many requests, of so many bytes.
 */
import { expect } from "chai";
import { UnderWay } from "../../../actors/coordinator/under-way.js";
import { KvError } from "../../../protocol/errors.js";
import { COORDINATOR_BYTES_MAX, COORDINATOR_REQUESTS_MAX } from "../../../protocol/limits.js";

describe("what is under way in a coordinator", () => {
  it("is at most so many bytes together, and has room again when a request ends", () => {
    const underWay = new UnderWay();
    const leave = underWay.enter(COORDINATOR_BYTES_MAX - 1);
    underWay.enter(1);
    expect(underWay.bytes).to.equal(COORDINATOR_BYTES_MAX);
    expect(() => underWay.enter(1))
      .to.throw(KvError, String(COORDINATOR_BYTES_MAX))
      .with.deep.include({
        kind: "overloaded",
        details: { limit: "coordinator_bytes", max: COORDINATOR_BYTES_MAX, received: 1 },
      });
    // A refused request holds nothing.
    expect(underWay.count).to.equal(2);
    underWay.enter(0);
    leave();
    underWay.enter(COORDINATOR_BYTES_MAX - 1);
  });

  it("is at most so many requests", () => {
    const underWay = new UnderWay();
    const leaves = Array.from({ length: COORDINATOR_REQUESTS_MAX }, () => underWay.enter(0));
    expect(() => underWay.enter(0))
      .to.throw(KvError)
      .with.property("kind", "overloaded");
    leaves[0]?.();
    underWay.enter(0);
    expect(underWay.count).to.equal(COORDINATOR_REQUESTS_MAX);
  });
});
