/**
 * What a client in plain NATS may conclude from the answers that it gets.
 */
import { expect } from "chai";
import { connect, type NatsConnection } from "nats";
import { KvError } from "../../protocol/errors.js";
import type { StepOutcome } from "../history/history.js";
import { startTestServer, type TestServer } from "../support/nats-server.js";
import { PlainAccess, type Asked } from "./access.js";

const steps: readonly Asked[] = [
  { verb: "set", key: "a", value: "1" },
  { verb: "get", key: "b" },
  { verb: "del", key: "c" },
  { verb: "set", key: "d", value: "2" },
];
const error = new KvError("overloaded", "busy").toBody();
const outcomes = [{ error }, { error }, { revision: 7, existed: true }, { error }];
const refused: StepOutcome = { kind: "refused", error: "overloaded" };
const unknown: StepOutcome = { kind: "unknown", error: "overloaded" };
const written: StepOutcome = { kind: "written", revision: 7, existed: true };

describe("a batch in plain NATS", () => {
  let server: TestServer;
  let nats: NatsConnection;
  before(async () => {
    server = await startTestServer();
    nats = await connect({ servers: server.url });
  });
  after(async () => {
    await nats.close();
    await server.stop();
  });

  for (const [name, unanswered, told] of [
    ["takes refusals at their word", 0, [refused, refused, written, refused]],
    [
      "does not take them for what came of an earlier attempt that had no answer",
      1,
      [unknown, refused, written, unknown],
    ],
  ] as const) {
    it(name, async () => {
      let received = 0;
      const subscription = nats.subscribe("kv.batch", {
        callback: (_, message) => {
          received += 1;
          if (received > unanswered) message.respond(JSON.stringify({ outcomes }));
        },
      });
      const access = new PlainAccess(nats, "kv", 10_000, false);
      expect(await access.perform("batch", steps, "id")).to.deep.equal(told);
      subscription.unsubscribe();
    });
  }
});
