/**
 * The in-memory events stream keeps the contract, and its faults do what they say.
 */
import { expect } from "chai";
import { systemClock } from "../../infra/clock.js";
import type { Sequence } from "../../protocol/ids.js";
import { eventsContract } from "../contract/events-contract.js";
import { MemoryEventStream } from "./memory-events.js";

describe("memory events", () => {
  let stream: MemoryEventStream;
  beforeEach(() => {
    stream = new MemoryEventStream(systemClock);
  });

  eventsContract(() => Promise.resolve(stream.connect()));

  it("lets as many messages land as a cut connection is told to", async () => {
    const events = stream.connect();
    const writer = events.writer();
    const fence = { subject: "kv.relay.s1", sequence: 0 as Sequence };
    for (const key of ["a", "b", "c"]) {
      const subject = `kv.event.set.${key}`;
      writer.publish({ subject, headers: [], data: new Uint8Array() }, fence);
    }
    events.disconnect(2);
    expect(writer.failure).to.include({ kind: "in-doubt" });
    expect(stream.messages.map(({ subject }) => subject)).to.deep.equal([
      "kv.event.set.a",
      "kv.event.set.b",
    ]);
  });
});
