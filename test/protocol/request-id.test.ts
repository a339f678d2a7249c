/**
 * The time in a request id: told by UUIDs of version 7, and by nothing else.
 */
import { expect } from "chai";
import { v4, v7 } from "uuid";
import { requestTime } from "../../protocol/request-id.js";

describe("the time of a request id", () => {
  it("is that of RFC 9562's example", () => {
    const time = Date.parse("2022-02-22T19:22:22.000Z");
    expect(requestTime("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")).to.equal(time);
    expect(requestTime("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")).to.equal(time);
  });

  it("is the one that an id was made with", () => {
    for (const msecs of [0, 1, 1_700_000_000_123, 2 ** 48 - 1]) {
      expect(requestTime(v7({ msecs }))).to.equal(msecs);
    }
  });

  it("is not known of any other id", () => {
    const others = [
      "",
      "order-4711",
      v4(),
      "017f22e2-79b0-7cc3-c8c4-dc0c0c07398f", // another variant
      "017f22e279b07cc398c4dc0c0c07398f",
      "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
      " 17f22e2-79b0-7cc3-98c4-dc0c0c07398f",
    ];
    for (const id of others) expect(requestTime(id)).to.equal(undefined);
  });
});
