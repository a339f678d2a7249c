/**
 * Where answers go, and where they must not: a reply subject is the client's choice, and we may
 * publish where the client may not.
 */
import { expect } from "chai";
import { Answers } from "../../actors/answer.js";
import { REPLY_SUBJECT_BYTES_MAX } from "../../protocol/limits.js";
import { Names } from "../../protocol/nats/subjects.js";
import { errorReply } from "../../protocol/reply/subject.js";
import { ManualClock, seededChance } from "../support/manual-clock.js";
import { MemoryNetwork } from "../support/memory-bus.js";
import { NotedLogger } from "../support/noted-logger.js";

const body = Buffer.from("answer");

describe("answers", () => {
  let sent: string[];
  let answers: Answers;
  beforeEach(() => {
    const clock = new ManualClock();
    const bus = new MemoryNetwork({ clock, chance: seededChance(1) }).connect("n1");
    sent = [];
    bus.publish = (subject) => void sent.push(subject);
    answers = new Answers({ names: new Names("kv"), bus, logger: new NotedLogger() });
  });

  function answer(reply: string | undefined): void {
    answers.send({ subject: "kv.get.a", reply }, { headers: [], body }, errorReply);
  }

  it("go to inboxes, and to subjects of other programs", () => {
    const subjects = ["_INBOX.x.1", "_R_.a.b", "kv", "kvx.set.a", "app.replies", "é.ü"];
    for (const subject of subjects) answer(subject);
    expect(sent).to.deep.equal(subjects);
  });

  it("never go to the store's own subjects, nor to those that begin with $", () => {
    for (const subject of [
      "kv.set.a",
      "kv.ring.5.set.a",
      "kv.log.s1.0123456789abcdef",
      "kv.event.set.a",
      "kv.shard.s1.batch",
      "kv.node.n1.status",
      "kv.relay.s1",
      "$JS.API.STREAM.DELETE.KV_kv-ring",
      "$KV.kv-ring.ring",
      "$SYS.REQ.SERVER.PING",
      "$SRV.PING",
    ]) {
      answer(subject);
    }
    expect(sent).to.deep.equal([]);
  });

  it("go to no subject that could end our connection or is none", () => {
    const fits = "r".repeat(REPLY_SUBJECT_BYTES_MAX);
    for (const subject of [undefined, "", "a b", "a.*", "a.>", "a\u0001", `${fits}r`]) {
      answer(subject);
    }
    answer("é".repeat(REPLY_SUBJECT_BYTES_MAX / 2 + 1));
    expect(sent).to.deep.equal([]);
    answer(fits);
    expect(sent).to.deep.equal([fits]);
  });
});
