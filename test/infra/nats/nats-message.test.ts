/**
 * Subjects of received messages as text: what a client sent as bytes is what a key is.
 */
import { expect } from "chai";
import type { Msg } from "nats";
import { natsMessage } from "../../../infra/nats/nats-message.js";
import { KvError } from "../../../protocol/errors.js";
import { Names } from "../../../protocol/nats/subjects.js";
import { parseSubjectRequest } from "../../../protocol/request/text.js";

const names = new Names("kv");
const nothing = new Uint8Array(0);

describe("subject of a message", () => {
  for (const key of ["delhi", "zürich", "दिल्ली", "😀", "a\ufffdb"]) {
    it(`is the text that was sent, with the key ${key}`, () => {
      expect(keyOf(Buffer.from(key))).to.equal(key);
    });
  }

  for (const bytes of [[0xff], [0x61, 0xc3], [0xed, 0xa0, 0x80], [0xef, 0xbf, 0xbd, 0xfe]]) {
    it(`has no key in the bytes ${bytes.join(" ")}, which are no UTF-8`, () => {
      expect(() => keyOf(Uint8Array.from(bytes)))
        .to.throw(KvError)
        .with.property("kind", "bad-request");
    });
  }
});

/** The key of a get with these bytes in its subject. */
function keyOf(bytes: Uint8Array): string | undefined {
  const subject = Buffer.concat([Buffer.from("kv.get."), bytes]);
  const raw = { _msg: { subject, hdr: -1 }, _rdata: nothing };
  const message = natsMessage(raw as unknown as Msg);
  const key = names.parseVerbSubject(message.subject)?.key ?? "";
  const request = parseSubjectRequest("get", key, nothing, undefined, 1_024);
  return request.kind === "get" ? request.key : undefined;
}
