/**
 * An error in a repair's reply.
 */
import { expect } from "chai";
import { KvError } from "../../../protocol/errors.js";
import { decodeRepairReply } from "../../../protocol/node/repair.js";

describe("a repair's reply", () => {
  it("is looked for in an object only, where a repair answers", () => {
    for (const text of ["", "{", "null", "5", "[]", '"error"']) {
      const decode = (): unknown => decodeRepairReply(Buffer.from(text));
      expect(decode, text).to.throw(KvError).with.property("kind", "internal");
    }
    expect(decodeRepairReply(Buffer.from('{"done":false}'))).to.deep.equal({ done: false });
  });
});
