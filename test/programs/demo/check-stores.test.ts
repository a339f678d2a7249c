/**
 * The check of all stores, with two copies of a small shard: it passes what a replica wrote, and
 * sees any one byte that was changed, in a row or in a file.
 */
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { StoreWrite } from "../../../infra/store.js";
import type { LogId, TimeMs } from "../../../protocol/ids.js";
import { decodeAppliedRow, encodeAppliedRow } from "../../../protocol/store/applied-row.js";
import { keyRowKey } from "../../../protocol/store/key-rows.js";
import { decodePositionRow, encodePositionRow } from "../../../protocol/store/position-row.js";
import { decodeRecord, encodeRecord } from "../../../protocol/store/record.js";
import {
  appliedKey,
  expiryKey,
  indexKeysOf,
  positionKey,
  recordKey,
} from "../../../protocol/store/store-keys.js";
import { attributesOf } from "../../../protocol/value/attributes.js";
import { checkStores } from "./check-stores.js";
import { LOG_ID, MadeData, madePosition, type MadeRecord } from "./made-data.js";

const OTHER_ID = "ff66554433221100" as LogId;
const delhi = { name: "Delhi", country: "IN", population: 32_900_000 };
const expiresAt = 1_900_000_000_000 as TimeMs;
const made: readonly MadeRecord[] = [
  { key: "city.delhi", value: delhi },
  { key: "city.oslo", value: { name: "Oslo", country: "NO", tags: ["capital", "port"] } },
  { key: "city.agra", value: { name: "Agra", country: "IN" }, expiresAt },
  { key: "note", value: "plain" },
];
const storeKey = recordKey(madePosition("city.delhi"), Buffer.from("city.delhi"));

describe("check of all stores", () => {
  let folder: string;
  let data: MadeData;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-check-"));
    data = await MadeData.write(folder, made);
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** What it finds wrong. */
  async function problems(expected?: ReadonlyMap<string, string>): Promise<readonly string[]> {
    return (await checkStores(folder, expected)).problems.lines();
  }

  async function write(node: string, ...batch: StoreWrite[]): Promise<void> {
    await data.open(node, (store) => store.write(batch, { sync: false }));
  }

  async function changeRecord(node: string, change: (text: string) => string): Promise<void> {
    await data.open(node, async (store) => {
      const [row] = await store.getMany([storeKey]);
      const record = decodeRecord(row ?? new Uint8Array(0));
      const value = Buffer.from(change(Buffer.from(record.value).toString()));
      const changed = encodeRecord({ ...record, value });
      await store.write([{ type: "put", key: storeKey, value: changed }], { sync: false });
    });
  }

  it("passes what replicas wrote, and counts it", async () => {
    const report = await checkStores(folder, expectedOf(made));
    expect(report.problems.lines()).to.deep.equal([]);
    expect(report.stores.map(({ node, shard }) => `${shard}@${node}`)).to.deep.equal([
      "s1@n1",
      "s1@n2",
    ]);
    expect(report.recordCount).to.equal(2 * made.length);
    const { records, indexRowCount, expiryRowCount } = report.stores[0]?.facts ?? {};
    expect(records?.size).to.equal(made.length);
    expect(indexRowCount).to.equal(indexRowCountOf(made));
    expect(expiryRowCount).to.equal(1);
  });

  it("passes over stores that were set aside or are being filled, whatever they hold", async () => {
    for (const other of [`${LOG_ID}.aside-${OTHER_ID}`, `${OTHER_ID}.draft`]) {
      mkdirSync(data.storeFolder("n1", other));
    }
    const report = await checkStores(folder, expectedOf(made));
    expect(report.problems.lines()).to.deep.equal([]);
    expect(report.stores).to.have.length(2);
  });

  it("goes by the log that a store is of, and not by its folder's name", async () => {
    renameSync(data.storeFolder("n1"), data.storeFolder("n1", OTHER_ID));
    expect(await problems()).to.deep.equal([]);
    renameSync(data.storeFolder("n1", OTHER_ID), data.storeFolder("n1"));
    await data.open("n1", async (store) => {
      const [row] = await store.getMany([appliedKey]);
      const applied = { ...decodeAppliedRow(row ?? new Uint8Array(0)), logId: OTHER_ID };
      const value = encodeAppliedRow(applied);
      await store.write([{ type: "put", key: appliedKey, value }], { sync: false });
    });
    expect(await problems()).to.deep.equal([`s1 on n1 and n2: of logs ${OTHER_ID} and ${LOG_ID}`]);
  });

  it("leaves the stores as they are, and nothing beside them", async () => {
    const before = readdirSync(data.storeFolder("n1"));
    await problems();
    expect(readdirSync(data.storeFolder("n1"))).to.deep.equal(before);
    expect(readdirSync(folder).toSorted()).to.deep.equal(["nodes", "ringdex.json"]);
  });

  it("sees one changed byte of a value, though its checksum fits", async () => {
    await changeRecord("n2", (text) => text.replace("32900000", "32900001"));
    const found = (await problems()).join("\n");
    expect(found).to.include('s1 on n2: index row population = 32900000 of "city.delhi" is there');
    expect(found).to.include('index row population = 32900001 of "city.delhi" is missing');
    expect(found).to.match(/position \d+ says digest of records/);
    expect(found).to.match(/position \d+ says digest of index/);
    expect(found).to.include('s1 on n1 and n2: record "city.delhi" differs');
    expect(found).not.to.include("s1 on n1: ");
  });

  it("sees one changed byte that no index row has, by digest and copy", async () => {
    await changeRecord("n2", (text) => text.replace("{", "{ "));
    const found = await problems();
    expect(found.some((line) => /says digest of records/.test(line))).to.equal(true);
    expect(found.some((line) => /index/.test(line))).to.equal(false);
    expect(found).to.include('s1 on n1 and n2: record "city.delhi" differs');
  });

  it("sees a record that was changed alike in both copies, by what is to be there", async () => {
    for (const node of ["n1", "n2"]) {
      await changeRecord(node, (text) => text.replace("Delhi", "Dilli"));
    }
    const found = (await problems(expectedOf(made))).join("\n");
    expect(found).to.include('s1 on n1: record "city.delhi" is {"name":"Dilli"');
    expect(found).to.include('s1 on n2: record "city.delhi" is {"name":"Dilli"');
  });

  it("sees a changed byte of a row, by its checksum", async () => {
    await data.open("n1", async (store) => {
      const [row] = await store.getMany([storeKey]);
      const value = Buffer.from(row ?? []);
      value.writeUInt8((value.at(-3) ?? 0) ^ 1, value.length - 3);
      await store.write([{ type: "put", key: storeKey, value }], { sync: false });
    });
    const [first] = await problems();
    expect(first).to.match(/^s1 on n1: record "city.delhi": damaged record: checksum/);
  });

  it("sees a changed byte of a write-ahead log, by the copy that has applied more", async () => {
    data.changeByte("n2", ".log", "32900000");
    expect(await problems()).to.deep.equal(["s1 on n1 and n2: have applied 5 and 1 entries"]);
    const found = (await problems(expectedOf(made))).join("\n");
    expect(found).to.include('s1 on n2: record "city.delhi" is missing');
  });

  it("sees a changed byte of a data file", async () => {
    await data.open("n2", async () => {}); // what stood in the write-ahead log goes into a file
    data.changeByte("n2", ".sst", "NO");
    const [first] = await problems();
    expect(first).to.match(/^s1 on n2: .*damaged: Corruption/);
    expect(first).to.include(data.storeFolder("n2"));
  });

  it("sees a row of index, keys or expiry that is missing or follows from nothing", async () => {
    const key = Buffer.from("city.agra");
    const [country] = indexKeysOf([{ path: "country", value: "IN" }], key);
    const [stray] = indexKeysOf([{ path: "country", value: "PK" }], key);
    const empty = new Uint8Array(0);
    await write(
      "n1",
      { type: "del", key: country ?? empty },
      { type: "put", key: stray ?? empty, value: empty },
      { type: "del", key: keyRowKey(key) },
      { type: "del", key: expiryKey(madePosition("city.agra"), expiresAt, key) },
      { type: "put", key: expiryKey(madePosition("note"), expiresAt, key), value: empty },
    );
    const found = await problems();
    expect(found).to.have.length(5);
    expect(found[0]).to.match(/country = "PK" of "city.agra" is there, but follows from no record/);
    expect(found[1]).to.match(/expiry row \w+ is there, but follows from no record/);
    expect(found.slice(2).join("\n")).to.match(/country = "IN" of "city.agra" is missing/);
    expect(found.slice(2).join("\n")).to.match(/key row of "city.agra" is missing/);
    expect(found.slice(2).join("\n")).to.match(/expiry row \w+ is missing/);
  });

  it("sees figures of a position that its records do not have", async () => {
    const key = positionKey(madePosition("note"));
    await data.open("n1", async (store) => {
      const [bytes] = await store.getMany([key]);
      const row = decodePositionRow(bytes ?? new Uint8Array(0));
      const value = encodePositionRow({ ...row, keys: row.keys + 1, bytes: row.bytes - 1 });
      await store.write([{ type: "put", key, value }], { sync: false });
    });
    const found = await problems();
    expect(found).to.have.length(2);
    expect(found[0]).to.match(/^s1 on n1: position \d says keys \d, its records have \d$/);
    expect(found[1]).to.match(/^s1 on n1: position \d says bytes \d+, its records have \d+$/);
  });

  it("sees a record that is missing and one that should not be there", async () => {
    const expected = expectedOf(made);
    expected.delete("note");
    expected.set("city.pune", "{}");
    expect((await problems(expected)).toSorted()).to.deep.equal([
      's1 on n1: record "city.pune" is missing',
      's1 on n1: record "note" should not be there',
      's1 on n2: record "city.pune" is missing',
      's1 on n2: record "note" should not be there',
    ]);
  });

  it("sees a copy that is missing, and positions that nobody owns", async () => {
    rmSync(data.storeFolder("n2"), { recursive: true });
    expect(await problems()).to.deep.equal(["s1 has 1 stores, not 2"]);
    await write("n1", { type: "del", key: positionKey(madePosition("note")) });
    const found = (await problems()).join("\n");
    expect(found).to.match(/position \d has records, but no row of its own/);
    expect(found).to.match(/position \d is owned by no shard/);
  });
});

function expectedOf(records: readonly MadeRecord[]): Map<string, string> {
  return new Map(records.map(({ key, value }) => [key, JSON.stringify(value)]));
}

/** One for each attribute value and one for each key. */
function indexRowCountOf(records: readonly MadeRecord[]): number {
  const bounds = { depthMax: 8, entriesMax: 256, pathBytesMax: 512 };
  const counts = records.map(({ key, value }) => {
    const attributes = attributesOf(value, { excluded: [] }, bounds);
    return indexKeysOf(attributes, Buffer.from(key)).length + 1;
  });
  return counts.reduce((sum, each) => sum + each, 0);
}
