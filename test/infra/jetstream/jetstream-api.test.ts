/**
 * What is asked of JetStream, and for how long its answer is waited for.
 */
import { expect } from "chai";
import type { Bus } from "../../../infra/bus.js";
import { askJetstream } from "../../../infra/jetstream/jetstream-api.js";

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
});
