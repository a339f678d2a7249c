/**
 * What a batch is made of: each operation is checked when it is made.
 */
import { expect } from "chai";
import { ops } from "../../../infra/client/client.js";
import { refusalNow } from "../../support/failure.js";

describe("ops", () => {
  it("refuse options that are the batch's own, and unknown ones", () => {
    const make: readonly [string, () => unknown][] = [
      ["get", () => ops.get("k", { timeoutMs: 5 } as object)],
      ["set", () => ops.set("k", 1, { timeoutMs: 5 } as object)],
      ["del", () => ops.del("k", { timeoutMs: 5 } as object)],
      ["patch", () => ops.patch("k", {}, { timeoutMs: 5 } as object)],
      ["incr", () => ops.incr("k", 1, { timeoutMs: 5 } as object)],
      ["touch", () => ops.touch("k", 60, { timeoutMs: 5 } as object)],
    ];
    for (const [verb, call] of make) {
      const error = refusalNow(call);
      expect(error.kind).to.equal("bad-request");
      expect(error.message).to.match(
        new RegExp(`^options of ops\\.${verb}: there is no option "timeoutMs"`),
      );
    }
    const condition = { ifRevision: 1, ifAbsent: true };
    expect(refusalNow(() => ops.check("k", condition)).message).to.match(/^condition: there is no/);
  });

  it("refuse keys and values that cannot be sent", () => {
    expect(refusalNow(() => ops.get("")).message).to.include("it is empty");
    expect(refusalNow(() => ops.set("k", [/a/])).message).to.match(/^value\[0\] is a RegExp/);
    expect(refusalNow(() => ops.patch("k", { a: NaN })).message).to.match(/^patch\.a is NaN/);
    const by = undefined as unknown as number;
    expect(refusalNow(() => ops.incr("n", by)).message).to.include("received undefined");
    const none = {} as { ifRevision: number };
    expect(refusalNow(() => ops.check("a", none)).message).to.include("is a whole number");
  });
});
