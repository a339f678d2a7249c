/**
 * The brakes of the index through the real wire: each is refused with an error that names the
 * limit, and nothing is written; and attributes that a policy leaves out of the index.
 */
import { expect } from "chai";
import { isKvError } from "../../infra/client/client.js";
import {
  DEPTH_MAX,
  INDEX_ENTRIES_MAX,
  INDEX_TEXT_BYTES_MAX,
  KEY_BYTES_MAX,
  PATH_BYTES_MAX,
  VALUE_BYTES_MAX,
} from "../../protocol/limits.js";
import { EXCLUDED_PATH, useSharedCluster } from "../support/shared-cluster.js";

describe("index limits in a cluster", function () {
  this.timeout(60_000);
  const shared = useSharedCluster();

  async function refused(key: string, value: unknown): Promise<string> {
    const { db, nats } = shared;
    const error: unknown = await db.set(key, value).then(
      () => undefined,
      (caught: unknown) => caught,
    );
    if (!isKvError(error)) throw new Error(`${key} was not refused`, { cause: error });
    expect(error.retryable).to.equal(false);
    expect(error.written).to.equal("no");
    if (Buffer.byteLength(key) <= KEY_BYTES_MAX) {
      expect(await db.get(key)).to.equal(undefined);
      // To a plain NATS program the same is said.
      const payload = JSON.stringify({ key, value });
      if (payload.length < 1_000_000) {
        const reply = await nats.request("kv.set", payload, { timeout: 10_000 });
        expect(reply.headers?.get("Nats-Service-Error-Code")).to.equal(String(error.code));
        const body = reply.json<{ error: { name: string; description: string } }>();
        expect(body.error.name).to.equal(error.kind);
        expect(body.error.description).to.equal(error.message);
      }
    }
    return `${error.kind}: ${error.message}`;
  }

  it("refuse a value with too many attributes, and take one at the limit", async () => {
    const members = (count: number): object =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`limits${index}`, index]));
    const reason = await refused("limits.entries", members(INDEX_ENTRIES_MAX + 1));
    expect(reason)
      .to.match(/^limit-exceeded: /)
      .and.contain(String(INDEX_ENTRIES_MAX));
    await shared.db.set("limits.entries", members(INDEX_ENTRIES_MAX));
    expect(await shared.db.count({ limits255: 255 })).to.equal(1);
    await shared.db.del("limits.entries");
    expect(await shared.db.count({ limits255: 255 })).to.equal(0);
  });

  it("refuse a value that nests too deeply", async () => {
    let value: unknown = 1;
    for (let depth = 0; depth <= DEPTH_MAX; depth += 1) value = { deeper: value };
    const reason = await refused("limits.depth", value);
    expect(reason)
      .to.match(/^limit-exceeded: /)
      .and.contain(String(DEPTH_MAX));
    expect(reason).to.contain("depth");
  });

  it("refuse a path that is too long", async () => {
    const reason = await refused("limits.path", { ["p".repeat(PATH_BYTES_MAX + 1)]: 1 });
    expect(reason)
      .to.match(/^limit-exceeded: /)
      .and.contain(String(PATH_BYTES_MAX));
  });

  it("refuse a value and a key that are too large, with limit and size", async () => {
    const large = await refused("limits.value", "v".repeat(VALUE_BYTES_MAX));
    expect(large)
      .to.match(/^too-large: /)
      .and.contain(String(VALUE_BYTES_MAX));
    expect(large).to.contain(String(VALUE_BYTES_MAX + 2));
    const key = await refused("k".repeat(KEY_BYTES_MAX + 1), 1);
    expect(key)
      .to.contain(String(KEY_BYTES_MAX))
      .and.contain(String(KEY_BYTES_MAX + 1));
  });

  it("find longer text than an index entry holds by its whole length", async () => {
    const { db } = shared;
    const start = "t".repeat(INDEX_TEXT_BYTES_MAX + 20);
    await db.set("limits.text.a", { limitsText: `${start}a` });
    await db.set("limits.text.b", { limitsText: `${start}b` });
    const found = await db.find({ limitsText: `${start}b` }).toArray();
    expect(found.map(({ key }) => key)).to.deep.equal(["limits.text.b"]);
    const both = await db.find({ limitsText: { $prefix: start } }).toArray();
    const keys = both.map(({ key }) => key);
    expect(keys).to.have.members(["limits.text.a", "limits.text.b"]);
    for (const key of keys) await db.del(key);
  });

  it("leave out what a policy excludes, which is then found by a look at all records", async () => {
    const { db } = shared;
    // More than the index would take.
    const many = Object.fromEntries(
      Array.from({ length: INDEX_ENTRIES_MAX + 1 }, (_, index) => [`m${index}`, index]),
    );
    for (const level of [1, 2]) {
      const value = { limitsKind: "hidden", [EXCLUDED_PATH]: { level, many } };
      await db.set(`limits.hidden.${level}`, value);
    }
    const where = { [`${EXCLUDED_PATH}.level`]: 2 };
    for (const scan of [false, true]) {
      const found = await db.find(where, { scan }).toArray();
      expect(found.map(({ key }) => key)).to.deep.equal(["limits.hidden.2"]);
      expect(await db.count(where, { scan })).to.equal(1);
    }
    expect(await db.count({ [EXCLUDED_PATH]: { $exists: true } })).to.equal(2);
    // Beside an indexed attribute it is a condition like any other.
    const both = await db.find({ limitsKind: "hidden", ...where }).toArray();
    expect(both.map(({ key }) => key)).to.deep.equal(["limits.hidden.2"]);
    for (const level of [1, 2]) await db.del(`limits.hidden.${level}`);
  });
});
