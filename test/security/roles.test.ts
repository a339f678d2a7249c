/**
 * The roles of docs/security.md against a real nats-server and a real cluster behind it: every role
 * on every kind of subject, and what each role is there for.
 */
import { expect } from "chai";
import { createInbox, headers, type NatsConnection } from "nats";
import { roleNames, type RoleName } from "../../protocol/nats/nats-roles.js";
import { singleKeyVerbs } from "../../protocol/nats/subjects.js";
import { isAllowed, rightsTable } from "./rights-table.js";
import { startSecureStore, type SecureStore } from "./secure-store.js";

const LOG_ID = "0123456789abcdef";

/** Of every kind there is. None of them does harm where it is allowed. */
const publishSubjects = [
  ...singleKeyVerbs.flatMap((verb) => [
    `kv.${verb}`,
    `kv.${verb}.probe`,
    `kv.${verb}.a.b.c.d.e.f.g.h.i`,
    `kv.ring.5.${verb}`,
    `kv.ring.5.${verb}.probe`,
  ]),
  ..."batch keys find count distinct aggregate explain ring status info other".split(" ").map(kv),
  ..."get batch find count keys set other".split(" ").map((verb) => `kv.shard.s1.${verb}`),
  ..."status repair repair-report refill seed other".split(" ").map((verb) => `kv.node.n9.${verb}`),
  "kv.node.n9.log.info",
  `kv.log.s9.${LOG_ID}`,
  "kv.event.set.probe",
  "kv.event.reset._",
  "kv.relay.s9",
  "kv.relay-alive.s9",
  "kv",
  "kv.ring.5",
  "other.get.probe",
  "$KV.kv-ring.probe",
  "$KV.other.probe",
  "$JS.API.INFO",
  ...["$JS.API", "$JS.kv.API"].flatMap((api) => [
    `${api}.STREAM.INFO.kv-events`,
    `${api}.STREAM.INFO.kv-log-s9-${LOG_ID}`,
    `${api}.STREAM.CREATE.probe`,
    `${api}.STREAM.DELETE.probe`,
    `${api}.STREAM.PURGE.kv-log-s9-${LOG_ID}`,
    `${api}.STREAM.MSG.GET.KV_kv-ring`,
    `${api}.STREAM.MSG.GET.kv-events`,
    `${api}.DIRECT.GET.kv-events`,
    `${api}.CONSUMER.CREATE.kv-events`,
    `${api}.CONSUMER.CREATE.kv-events.probe`,
    `${api}.CONSUMER.CREATE.kv-events.probe.kv.event.set`,
    `${api}.CONSUMER.CREATE.kv-log-s9-${LOG_ID}.probe`,
    `${api}.CONSUMER.DELETE.kv-events.probe`,
    `${api}.CONSUMER.INFO.kv-events.probe`,
    `${api}.CONSUMER.MSG.NEXT.kv-events.probe`,
    `${api}.CONSUMER.MSG.NEXT.kv-log-s9-${LOG_ID}.probe`,
  ]),
  "$JS.ACK.kv-events.probe.1.1.1.1.0",
  `$JS.ACK.kv-log-s9-${LOG_ID}.probe.1.1.1.1.0`,
  "$JS.FC.kv-events.probe",
  "$SRV.PING",
  "$SRV.STATS.ringdex",
  "$SYS.REQ.SERVER.PING",
  "$SYS.REQ.USER.INFO",
  "$SYS.ACCOUNT.RINGDEX.CONNECT",
  "_INBOX.reader.probe",
  "_INBOX.writer.probe",
  "_INBOX.probe",
  "_R_.probe",
];

const subscribeSubjects = [
  ...publishSubjects.filter((subject) => !subject.includes("a.b.c")),
  ">",
  "*.>",
  "kv.>",
  "kv.*.>",
  "kv.ring.*.>",
  "kv.shard.*.>",
  "kv.log.>",
  "kv.event.>",
  "kv.node.>",
  "kv.node.*.log.>",
  "kv.node.n1.log.error",
  "$KV.>",
  "$JS.>",
  "$JS.API.>",
  "$JS.ACK.>",
  "$JS.EVENT.ADVISORY.>",
  "$SRV.>",
  "$SYS.>",
  "_INBOX.>",
  "_INBOX.*.>",
  ...roleNames.map((role) => `_INBOX.${role}.>`),
  ...roleNames.map((role) => `_INBOX.${role}.abc.*`),
  "_INBOX.sys.>",
];

function kv(rest: string): string {
  return `kv.${rest}`;
}

describe("roles", function () {
  this.timeout(120_000);

  let store: SecureStore;

  before(async () => {
    store = await startSecureStore();
  });

  after(async () => {
    await store.stop();
  });

  for (const role of roleNames) {
    it(`let ${role} publish what the table says and nothing else`, async () => {
      const connection = await store.nats(role);
      const witness = await Witness.of(store);
      const rights = rightsTable().get(role);
      const refused = refusalsOf(connection);
      for (const subject of publishSubjects) {
        const probe = createInbox();
        const marked = headers();
        marked.set("Probe", probe);
        // No stream takes it, wherever it is allowed.
        marked.set("Nats-Expected-Last-Sequence", "9223372036854775807");
        connection.publish(subject, "no value", { headers: marked });
        const isRefused = (await refused()) > 0;
        const wanted = isAllowed(rights?.publish ?? [], mapped(subject));
        expect(!isRefused, `${role} publishes to ${subject}`).to.equal(wanted);
        if (!wanted) expect(await witness.saw(probe), subject).to.equal(false);
        else if (isSeen(subject, role)) expect(await witness.saw(probe), subject).to.equal(true);
      }
      await witness.close();
    });

    it(`let ${role} subscribe to what the table says and nothing else`, async () => {
      const connection = await store.nats(role);
      const rights = rightsTable().get(role);
      const refused = refusalsOf(connection);
      for (const subject of subscribeSubjects) {
        // In no queue group: the store's own members go on getting their messages.
        const subscription = connection.subscribe(subject, { callback: () => undefined });
        const isRefused = (await refused()) > 0;
        subscription.unsubscribe();
        const wanted = isAllowed(rights?.subscribe ?? [], subject);
        expect(!isRefused, `${role} subscribes to ${subject}`).to.equal(wanted);
      }
    });
  }
});

/** As the server's mapping has it, for the rights are checked then. Positions do not matter. */
function mapped(subject: string): string {
  const [store, verb = "", ...key] = subject.split(".");
  const isMapped =
    store === "kv" &&
    (singleKeyVerbs as readonly string[]).includes(verb) &&
    key.length >= 1 &&
    key.length <= 8;
  return isMapped ? `kv.ring.0.${verb}.${key.join(".")}` : subject;
}

/** What a node's user may subscribe to, in the account of the store. */
function isSeen(subject: string, role: RoleName): boolean {
  return subject.startsWith("kv.") && (role !== "events" || /^kv\.(ring|info)$/.test(subject));
}

/** Counts what the server has refused since the last call. */
function refusalsOf(connection: NatsConnection): () => Promise<number> {
  let count = 0;
  void (async () => {
    for await (const event of connection.status()) {
      if (event.permissionContext !== undefined) count += 1;
    }
  })();
  return async () => {
    await connection.flush();
    await connection.flush();
    const refused = count;
    count = 0;
    return refused;
  };
}

/** Sees what arrives in the account of the store, by the header `Probe`. */
class Witness {
  readonly #probes = new Set<string>();

  private constructor(private readonly connection: NatsConnection) {
    connection.subscribe("kv.>", {
      callback: (error, message) => {
        const probe = error === null ? message.headers?.get("Probe") : undefined;
        if (probe !== undefined && probe !== "") this.#probes.add(probe);
      },
    });
  }

  static async of(store: SecureStore): Promise<Witness> {
    const connection = await store.nats("node");
    const witness = new Witness(connection);
    await connection.flush();
    return witness;
  }

  /** What was published and flushed before is here after a flush of ours. */
  async saw(probe: string): Promise<boolean> {
    await this.connection.flush();
    return this.#probes.has(probe);
  }

  async close(): Promise<void> {
    await this.connection.close();
  }
}
