/**
 * Ack subject: the place of a message, in each form that servers write it in.
 */
import { expect } from "chai";
import { parseAckSubject } from "../../../infra/nats/ack-subject.js";

describe("the subject of an acknowledgement", () => {
  const place = { sequence: 17, delivered: 4, time: 1_767_225_600_123 };

  it("tells a message's place and time, in its old form and its new ones", () => {
    const end = "1.17.4.1767225600123999999.0";
    expect(parseAckSubject(`$JS.ACK.stream.consumer.${end}`)).to.deep.equal(place);
    expect(parseAckSubject(`$JS.ACK._.account.stream.consumer.${end}`)).to.deep.equal(place);
    expect(parseAckSubject(`$JS.ACK.hub.account.stream.consumer.${end}.rnd`)).to.deep.equal(place);
  });

  it("is none otherwise", () => {
    for (const subject of [
      "",
      "_INBOX.a.b",
      "$JS.ACK.s.c.1.2.3.4",
      "$JS.ACK.s.c.1.x.3.4000000000.0",
    ]) {
      expect(parseAckSubject(subject)).to.equal(undefined);
    }
  });
});
