/**
 * The mapping of nats.conf on a real nats-server: the server takes the file as it is printed, and
 * computes the positions that positionOf computes.
 */
import { expect } from "chai";
import fc from "fast-check";
import { connect, type Msg, type NatsConnection } from "nats";
import type { NodeName, Position, ShardId } from "../../protocol/ids.js";
import { natsConf } from "../../protocol/nats/nats-conf.js";
import { isSubjectKey, Names, singleKeyVerbs } from "../../protocol/nats/subjects.js";
import { positionOf } from "../../protocol/position.js";
import { startTestServer, type TestServer } from "../support/nats-server.js";

const KEY_COUNT = 2_000;
const STORE = "geo-1";
/** Not a power of two, so that more than the low bits of the hash are compared. */
const POSITION_COUNTS = [1_024, 1_000];

for (const positionCount of POSITION_COUNTS) {
  describe(`mapping of nats.conf with ${positionCount} positions`, function () {
    this.timeout(30_000);
    const names = new Names(STORE);
    let server: TestServer;
    let connection: NatsConnection;

    before(async () => {
      const dataFolder = '%FOLDER%/a "quoted" folder';
      const config = natsConf({ store: STORE, positionCount, port: -1, dataFolder });
      server = await startTestServer({ config });
      connection = await connect({ servers: server.url });
    });
    after(async () => {
      await connection?.close();
      await server?.stop();
    });

    it("gives keys of 1 to 8 tokens the position that we compute", async () => {
      const received = collect(connection, `${STORE}.>`);
      const keys = fc.sample(keyOf(1, 8), { numRuns: KEY_COUNT, seed: 20_26 });
      for (const [index, key] of keys.entries()) connection.publish(names.verb(verbAt(index), key));
      await connection.flush();
      expect(received.length).to.equal(KEY_COUNT);
      for (const [index, key] of keys.entries()) {
        const position = positionOf(key, positionCount);
        const { subject } = received[index] as Msg;
        expect(subject).to.equal(names.ring(position, verbAt(index), key));
        const parsed = names.parseRingSubject(subject);
        expect(parsed).to.deep.equal({ position, verb: verbAt(index), key });
      }
      expect(new Set(keys.map((key) => key.split(".").length)).size).to.equal(8);
      expect(keys.some((key) => /[^\0-\x7f]/.test(key))).to.equal(true);
    });

    it("leaves keys of 9 tokens, keyless requests and other subjects as they are", async () => {
      const received = collect(connection, `${STORE}.>`);
      const subjects = [
        ...singleKeyVerbs.map((verb) => names.verb(verb, "a.b.c.d.e.f.g.h.i")),
        ...singleKeyVerbs.map((verb) => names.verb(verb)),
        names.verb("find"),
        names.ring(7 as Position, "get", "a"),
        names.shard("s1" as ShardId, "find"),
        names.node("n1" as NodeName, "status"),
        names.event("set", "a"),
      ];
      for (const subject of subjects) connection.publish(subject);
      await connection.flush();
      expect(received.map(({ subject }) => subject)).to.deep.equal(subjects);
    });
  });
}

function verbAt(index: number): (typeof singleKeyVerbs)[number] {
  return singleKeyVerbs[index % singleKeyVerbs.length] as (typeof singleKeyVerbs)[number];
}

/** What arrives from now on, in order: subscribed before anything the caller publishes later. */
function collect(connection: NatsConnection, subject: string): Msg[] {
  const received: Msg[] = [];
  connection.subscribe(subject, {
    callback: (error, message) => {
      if (error !== null) throw error;
      received.push(message);
    },
  });
  return received;
}

/** Keys without a tag that fit a subject: ASCII, letters of two to four bytes, anything. */
function keyOf(tokensMin: number, tokensMax: number): fc.Arbitrary<string> {
  const token = fc.oneof(
    fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 12 }),
    fc.string({
      unit: fc.constantFrom("a", "é", "€", "😀", "न", "د", "北"),
      minLength: 1,
      maxLength: 8,
    }),
    fc.string({ unit: "binary", minLength: 1, maxLength: 6 }),
  );
  return fc
    .array(token, { minLength: tokensMin, maxLength: tokensMax, size: "max" })
    .map((tokens) => tokens.map((each) => each.replaceAll(/[.{]/gu, "_")).join("."))
    .filter(isSubjectKey);
}
