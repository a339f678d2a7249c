/**
 * What is asked of JetStream, and for how long its answer is waited for.
 */
import { expect } from "chai";
import type { Bus } from "../../../infra/bus.js";
import {
  askJetstream,
  errorCodes,
  errorIn,
  hasErrorCode,
  isOutdated,
} from "../../../infra/jetstream/jetstream-api.js";

describe("what is asked of JetStream", () => {
  it("has more time if it makes or changes a stream, whose files are synced", async () => {
    const seconds = new Map<string, number>();
    const bus: Pick<Bus, "request"> = {
      request: (subject, _data, { timeoutMs }) => {
        seconds.set(subject, timeoutMs / 1_000);
        return Promise.resolve({
          subject,
          data: Buffer.from("{}"),
          reply: undefined,
          headers: undefined,
        });
      },
    };
    const changes = ["STREAM.CREATE.a", "STREAM.UPDATE.a", "STREAM.DELETE.a", "STREAM.PURGE.a"];
    const others = ["STREAM.INFO.a", "STREAM.MSG.GET.a", "CONSUMER.CREATE.a.b", "STREAM.NAMES"];
    for (const asked of [...changes, ...others]) await askJetstream(bus as Bus, asked);
    for (const asked of changes) expect(seconds.get(`$JS.API.${asked}`), asked).to.equal(10);
    for (const asked of others) expect(seconds.get(`$JS.API.${asked}`), asked).to.equal(2);
  });

  it("is refused for a reason that callers tell by its code, whatever its words", () => {
    const refused = (code: number): unknown =>
      errorIn("asked", { error: { code: 400, err_code: code, description: "no" } });
    const { streamNotFound, messageNotFound } = errorCodes;
    expect(hasErrorCode(refused(streamNotFound), messageNotFound, streamNotFound)).to.equal(true);
    expect(hasErrorCode(refused(streamNotFound), messageNotFound)).to.equal(false);
    expect(hasErrorCode(new Error("stream not found"), streamNotFound)).to.equal(false);
    // Servers have two words for one thing.
    for (const code of [10_071, 10_164]) expect(isOutdated(refused(code))).to.equal(true);
    expect(isOutdated(refused(streamNotFound))).to.equal(false);
  });
});
