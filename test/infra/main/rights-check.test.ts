/**
 * A node whose user lacks a right says which, before it does anything.
 */
import { expect } from "chai";
import { systemClock } from "../../../infra/clock.js";
import { NodeRefused } from "../../../infra/main/node-identity.js";
import { checkRights } from "../../../infra/main/rights-check.js";
import { connectBus } from "../../../infra/nats/nats-bus.js";
import { rolesOf, type Rights } from "../../../protocol/nats/nats-roles.js";
import { Names } from "../../../protocol/nats/subjects.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";

/** Each a kind of subject that a node must publish to. */
const published = [
  "kv.ring.>",
  "kv.shard.>",
  "kv.node.>",
  "kv.log.>",
  "kv.event.>",
  "kv.relay.>",
  "kv.relay-alive.>",
  "$KV.>",
  "$JS.API.STREAM.CREATE.>",
  "$JS.API.STREAM.NAMES",
  "$JS.API.STREAM.INFO.>",
  "$JS.API.STREAM.MSG.GET.>",
  "$JS.API.CONSUMER.CREATE.>",
  "$JS.API.CONSUMER.MSG.NEXT.>",
  "$JS.API.DIRECT.GET.>",
  "_INBOX.>",
];

const subscribed = ["kv.get.>", "kv.find", "kv.ring.>", "kv.shard.>", "kv.node.>", "$SRV.>"];

describe("rights check", function () {
  this.timeout(30_000);
  let server: TestServer;
  before(async () => {
    const users = [
      userBlock("whole", [], []),
      ...published.map((subject, index) => userBlock(`publish-${index}`, [subject], [])),
      ...subscribed.map((subject, index) => userBlock(`subscribe-${index}`, [], [subject])),
    ];
    server = await startTestServer({ config: `authorization { users: [ ${users.join("\n")} ] }` });
  });
  after(async () => {
    await server.stop();
  });

  it("lets a node start that has the rights of the role", async () => {
    expect(await check("whole")).to.equal(undefined);
  });

  for (const [index, subject] of published.entries()) {
    it(`names the right to publish to ${subject} where it is missing`, async () => {
      const error = await check(`publish-${index}`);
      expect(error).to.be.instanceOf(NodeRefused);
      expect(error?.message).to.contain(`publish to ${subject.replace(/\.>$/, ".")}`);
      expect(error?.message).not.to.contain("subscribe to");
    });
  }

  for (const [index, subject] of subscribed.entries()) {
    it(`names the right to subscribe to ${subject} where it is missing`, async () => {
      const error = await check(`subscribe-${index}`);
      expect(error?.message).to.contain(`subscribe to ${subject.replace(/\.>$/, ".")}`);
      expect(error?.message).not.to.contain("publish to");
    });
  }

  async function check(user: string): Promise<Error | undefined> {
    const bus = await connectBus({
      url: server.url,
      credentials: { user, password: "p", inboxPrefix: "_INBOX.node" },
      name: "test",
      clock: systemClock,
      // Refused subscriptions are told here, too; a node logs them.
      onFailure: () => undefined,
    });
    try {
      await checkRights(bus, new Names("kv"));
      return undefined;
    } catch (error) {
      return error as Error;
    } finally {
      await bus.close();
    }
  }
});

function userBlock(user: string, noPublish: string[], noSubscribe: string[]): string {
  const { publish, subscribe }: Rights = rolesOf("kv").node;
  const list = (subjects: readonly string[]): string => JSON.stringify(subjects);
  return `{ user: ${user}, password: p, permissions: {
    publish: { allow: ${list(publish)}, deny: ${list(noPublish)} }
    subscribe: { allow: ${list(subscribe)}, deny: ${list(noSubscribe)} } } }`;
}
