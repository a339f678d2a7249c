/**
 * Headers of a request: each of ours at most once.
 */
import { expect } from "chai";
import { parseSubjectRequest } from "../../../protocol/request/text.js";
import { refusalNow } from "../../support/failure.js";

const POSITIONS = 1_024;

describe("headers of a request", () => {
  it("refuses a header given twice, whichever of ours it is", () => {
    const names = ["kv-if-revision", "kv-ttl", "kv-request-id", "kv-read", "kv-min-revision"];
    for (const name of [...names, "kv-return", "content-type", "accept"]) {
      const twice = new Map([[name, ["1", "1"]]]);
      const error = refusalNow(() =>
        parseSubjectRequest("set", "k", Buffer.from("1"), twice, POSITIONS),
      );
      expect(error.message.toLowerCase()).to.match(
        new RegExp(`^${name} may be given only once; received 2`),
      );
    }
    const others = new Map([["nats-trace", ["1", "1"]]]);
    parseSubjectRequest("set", "k", Buffer.from("1"), others, POSITIONS);
  });
});
