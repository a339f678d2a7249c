/**
 * What every Store does (infra/store.ts), run against RocksDB and against the one in memory.
 *
 * A run hands over a Folder: a place that keeps a store between openings.
 */
import { expect } from "chai";
import fc from "fast-check";
import type { Store, StoreIterator, StoreRow, StoreWrite } from "../../infra/store.js";
import { InvariantError } from "../../protocol/assert.js";

export interface Folder {
  open(): Promise<Store>;
  remove(): Promise<void>;
}

const unsynced = { sync: false };
const everything = { from: bytes("\x01"), to: bytes("\xff".repeat(5)) };

export function storeContract(makeFolder: () => Promise<Folder>): void {
  let folder: Folder;
  let store: Store;
  beforeEach(async () => {
    folder = await makeFolder();
    store = await folder.open();
  });
  afterEach(async () => {
    await store.close();
    await folder.remove();
  });

  describe("batches", () => batchContract(() => store));
  describe("getMany", () => getManyContract(() => store));
  describe("iterators", () => iteratorContract(() => store));
  describe("snapshots", () => snapshotContract(() => store));

  it("keeps its rows when it is closed and opened again", async () => {
    await store.write([put("a", "1"), put("b", "2")], unsynced);
    await store.write([del("a")], { sync: true });
    await store.close();
    store = await folder.open();
    expect(await dump(store)).to.deep.equal(["b=2"]);
  });

  it("tells about how many bytes it holds", async () => {
    await store.write([{ type: "put", key: bytes("k"), value: noise(300_000) }], unsynced);
    expect(await store.bytes()).to.be.within(250_000, 1_000_000);
  });

  it("refuses to close while an iterator is open", async () => {
    const iterator = store.iterate(everything);
    await expectBug(() => store.close());
    await iterator.close();
  });

  it("does what a sorted map does", async function () {
    this.timeout(20_000);
    await fc.assert(
      fc.asyncProperty(fc.array(modelStep, { maxLength: 40 }), async (steps) => {
        await clear(store);
        await runModel(store, steps);
      }),
      { numRuns: 60 },
    );
  });
}

function batchContract(current: () => Store): void {
  it("applies a batch in its order, the last write of a key standing", async () => {
    await current().write([put("a", "1"), put("a", "2"), put("b", "1"), del("b")], unsynced);
    await current().write([del("c"), put("c", "3")], unsynced);
    expect(await dump(current())).to.deep.equal(["a=2", "c=3"]);
  });

  it("takes plain Uint8Arrays, and views into larger buffers", async () => {
    const large = bytes("..key.value..");
    const write = { type: "put", key: large.subarray(2, 5), value: large.subarray(6, 11) } as const;
    await current().write([write], unsynced);
    expect(await dump(current())).to.deep.equal(["key=value"]);
  });

  it("has taken the bytes when write returns, before it has ended", async () => {
    const write = put("a", "1");
    const written = current().write([write], unsynced);
    write.key.fill(0x7a);
    await written;
    expect(await dump(current())).to.deep.equal(["a=1"]);
  });

  it("shows all of a batch or nothing of it to whoever reads meanwhile", async () => {
    const keys = Array.from({ length: 500 }, (_, index) => `k${index}`);
    for (let round = 0; round < 20; round += 1) {
      const written = current().write(
        keys.map((key) => put(key, `${round}`)),
        unsynced,
      );
      const iterator = current().iterate(everything);
      await written;
      const rows = await readAll(iterator);
      expect(new Set(rows.map((row) => text(row.value))).size).to.be.at.most(1);
      expect(rows.length).to.be.oneOf(round === 0 ? [0, 500] : [500]);
    }
  });

  it("refuses a second batch while one is in flight, and takes the next after it", async () => {
    const first = current().write([put("a", "1")], unsynced);
    await expectBug(() => current().write([put("b", "1")], unsynced));
    await first;
    await current().write([put("c", "1")], unsynced);
    expect(await dump(current())).to.deep.equal(["a=1", "c=1"]);
  });

  it("takes an empty batch, but not with sync, which would be nothing", async () => {
    await current().write([], unsynced);
    await expectBug(() => current().write([], { sync: true }));
  });

  it("refuses a key without bytes, and writes nothing of its batch", async () => {
    await expectBug(() => current().write([put("a", "1"), put("", "2")], unsynced));
    await expectBug(() => current().getMany([bytes("a"), bytes("")]));
    expect(await dump(current())).to.deep.equal([]);
  });
}

function getManyContract(current: () => Store): void {
  it("answers in the order of the keys, absent ones and repeated ones too", async () => {
    await current().write([put("a", "1"), put("b", "2"), put("empty", "")], unsynced);
    const values = await current().getMany(["b", "x", "a", "b", "empty"].map(bytes));
    const texts = values.map((value) => (value === undefined ? undefined : text(value)));
    expect(texts).to.deep.equal(["2", undefined, "1", "2", ""]);
    expect(await current().getMany([])).to.deep.equal([]);
  });

  it("finds every key while thousands come and go, in order and against it", async () => {
    const keys = Array.from({ length: 3_000 }, (_, index) => String(index).padStart(4, "0"));
    const middle = keys.slice(500, 2_500);
    await current().write(
      keys.toReversed().map((key) => put(key, "1")),
      unsynced,
    );
    await current().write(middle.map(del), unsynced);
    const values = await current().getMany(keys.map(bytes));
    const left = keys.filter((_, index) => values[index] !== undefined);
    expect(left).to.deep.equal([...keys.slice(0, 500), ...keys.slice(2_500)]);
    await current().write(
      middle.map((key) => put(key, "2")),
      unsynced,
    );
    expect((await dump(current())).map(keyOf)).to.deep.equal(keys);
  });

  it("keeps a value of 256 KiB byte for byte", async () => {
    const value = noise(256 * 1_024);
    await current().write([{ type: "put", key: bytes("large"), value }], unsynced);
    const [found] = await current().getMany([bytes("large")]);
    expect(Buffer.compare(found ?? bytes(""), value)).to.equal(0);
  });

  it("returns bytes that are the caller's to change", async () => {
    await current().write([put("a", "1")], unsynced);
    const [first] = await current().getMany([bytes("a")]);
    first?.fill(0);
    expect(await dump(current())).to.deep.equal(["a=1"]);
  });
}

function iteratorContract(current: () => Store): void {
  it("orders keys as unsigned bytes, a prefix first", async () => {
    const keys = ["\xff", "\x80", "\x7f", "a\xff", "a", "a\x00", "ab", "\x01"];
    await current().write(
      keys.map((key) => put(key, "")),
      unsynced,
    );
    const rows = await readAll(current().iterate(everything));
    const sorted = ["\x01", "a", "a\x00", "ab", "a\xff", "\x7f", "\x80", "\xff"];
    expect(rows.map((row) => text(row.key))).to.deep.equal(sorted);
  });

  it("takes a range with its begin and without its end", async () => {
    await current().write(
      ["a", "b", "bb", "c"].map((key) => put(key, "")),
      unsynced,
    );
    expect(await keysIn(current(), "b", "c")).to.deep.equal(["b", "bb"]);
    expect(await keysIn(current(), "aa", "bbb")).to.deep.equal(["b", "bb"]);
    expect(await keysIn(current(), "", "b")).to.deep.equal(["a"]);
    expect(await keysIn(current(), "c", "b")).to.deep.equal([]);
    expect(await keysIn(current(), "b", "b")).to.deep.equal([]);
    expect(await keysIn(current(), "d", "z")).to.deep.equal([]);
  });

  it("refuses a range without an end", () => {
    expect(() => current().iterate({ from: bytes("a"), to: bytes("") })).to.throw(InvariantError);
  });

  it("leaves values out if asked to", async () => {
    await current().write([put("a", "1"), put("b", "2")], unsynced);
    const rows = await readAll(current().iterate({ ...everything, values: false }));
    expect(rows.map(show)).to.deep.equal(["a=", "b="]);
  });

  it("pages through 10,000 rows, none twice, none missing, then stays at the end", async () => {
    const keys = Array.from({ length: 10_000 }, (_, index) => String(index).padStart(5, "0"));
    await current().write(
      keys.map((key) => put(key, `value of ${key}`)),
      unsynced,
    );
    const iterator = current().iterate(everything);
    const found: string[] = [];
    for (;;) {
      const rows = await iterator.next(333);
      if (rows.length === 0) break;
      expect(rows.length).to.be.at.most(333);
      found.push(...rows.map((row) => text(row.key)));
    }
    expect(await iterator.next(1)).to.deep.equal([]);
    await iterator.close();
    expect(found).to.deep.equal(keys);
  });

  it("seeks forwards and backwards, to a key or to the next after it", async () => {
    await current().write(
      ["b", "d", "f", "h"].map((key) => put(key, "")),
      unsynced,
    );
    const iterator = current().iterate({ from: bytes("b"), to: bytes("h") });
    const found: string[] = [];
    for (const key of ["f", "b", "c", "a", "e", "g", "h", "z", "d", "a"]) {
      iterator.seek(bytes(key));
      const [row] = await iterator.next(1);
      found.push(row === undefined ? "-" : text(row.key));
    }
    expect(found).to.deep.equal(["f", "b", "d", "b", "f", "-", "-", "-", "d", "b"]);
    expect((await iterator.next(10)).map(show)).to.deep.equal(["d=", "f="]);
    iterator.seek(bytes("c"));
    expect((await iterator.next(10)).map(show)).to.deep.equal(["d=", "f="]);
    await iterator.close();
  });

  it("seeks in an empty store, inside its range and outside", async () => {
    const iterator = current().iterate({ from: bytes("b"), to: bytes("d") });
    for (const key of ["c", "a", "z", "d", "b"]) {
      iterator.seek(bytes(key));
      expect(await iterator.next(5)).to.deep.equal([]);
      expect(await iterator.next(5)).to.deep.equal([]);
    }
    await iterator.close();
  });

  it("refuses a second next while one runs, and anything after close", async () => {
    await current().write([put("a", "1")], unsynced);
    const iterator = current().iterate(everything);
    const first = iterator.next(1);
    await expectBug(() => iterator.next(1));
    expect((await first).map(show)).to.deep.equal(["a=1"]);
    await iterator.close();
    await expectBug(() => iterator.next(1));
    expect(() => iterator.seek(bytes("a"))).to.throw(InvariantError);
  });

  it("lets a next that runs end before it closes, and may be closed twice", async () => {
    await current().write([put("a", "1"), put("b", "2")], unsynced);
    const iterator = current().iterate(everything);
    const rows = iterator.next(10);
    await Promise.all([iterator.close(), iterator.close()]);
    expect((await rows).map(show)).to.deep.equal(["a=1", "b=2"]);
  });
}

function snapshotContract(current: () => Store): void {
  it("shows the store as it was when the iterator was made, also after a seek", async () => {
    await current().write([put("a", "old"), put("b", "old")], unsynced);
    const iterator = current().iterate(everything);
    await current().write([put("a", "new"), del("b"), put("c", "new")], unsynced);
    expect((await iterator.next(10)).map(show)).to.deep.equal(["a=old", "b=old"]);
    iterator.seek(bytes("a"));
    await current().write([put("a", "newer")], { sync: true });
    expect((await iterator.next(10)).map(show)).to.deep.equal(["a=old", "b=old"]);
    await iterator.close();
    expect(await dump(current())).to.deep.equal(["a=newer", "c=new"]);
  });

  it("shows iterators opened together between two batches the same", async () => {
    for (let round = 0; round < 30; round += 1) {
      await current().write([put("a", `${round}`), put("z", `${round}`)], unsynced);
      const iterators = [current().iterate(everything), current().iterate(everything)];
      const next = current().write([put("a", "-"), del("z")], unsynced);
      for (const iterator of iterators) {
        expect((await readAll(iterator)).map(show)).to.deep.equal([`a=${round}`, `z=${round}`]);
      }
      await next;
    }
  });
}

type ModelStep =
  | { readonly kind: "write"; readonly writes: readonly (readonly [string, string | undefined])[] }
  | { readonly kind: "get"; readonly keys: readonly string[] }
  | { readonly kind: "open"; readonly from: string; readonly to: string }
  | { readonly kind: "seek"; readonly to: string }
  | { readonly kind: "next"; readonly rows: number };

// Few letters, so that keys meet; the largest and smallest byte among them.
const modelKey = fc
  .array(fc.constantFrom("\x01", "a", "b", "\xff"), { minLength: 1, maxLength: 4 })
  .map((letters) => letters.join(""));
const modelValue = fc.option(fc.constantFrom("", "1", "2", "long".repeat(5_000)), {
  nil: undefined,
});
const modelStep: fc.Arbitrary<ModelStep> = fc.oneof(
  fc.record({
    kind: fc.constant("write" as const),
    writes: fc.array(fc.tuple(modelKey, modelValue), { maxLength: 40 }),
  }),
  fc.record({ kind: fc.constant("get" as const), keys: fc.array(modelKey) }),
  fc.record({ kind: fc.constant("open" as const), from: modelKey, to: modelKey }),
  fc.record({ kind: fc.constant("seek" as const), to: modelKey }),
  fc.record({ kind: fc.constant("next" as const), rows: fc.integer({ min: 1, max: 10 }) }),
);

/** Runs the steps on the store and on a Map; one iterator at a time. */
async function runModel(store: Store, steps: readonly ModelStep[]): Promise<void> {
  const model = new Map<string, string>();
  let iterator = store.iterate(everything);
  let expected: string[] = [];
  let range: string[] = [];
  for (const step of steps) {
    if (step.kind === "write") {
      for (const [key, value] of step.writes) {
        if (value === undefined) model.delete(key);
        else model.set(key, value);
      }
      await store.write(
        step.writes.map(([key, value]) => (value === undefined ? del(key) : put(key, value))),
        unsynced,
      );
    } else if (step.kind === "get") {
      const values = await store.getMany(step.keys.map(bytes));
      const texts = values.map((value) => (value === undefined ? undefined : text(value)));
      expect(texts).to.deep.equal(step.keys.map((key) => model.get(key)));
    } else if (step.kind === "open") {
      await iterator.close();
      iterator = store.iterate({ from: bytes(step.from), to: bytes(step.to) });
      range = showModel(model).filter((row) => keyOf(row) >= step.from && keyOf(row) < step.to);
      expected = range;
    } else if (step.kind === "seek") {
      iterator.seek(bytes(step.to));
      expected = range.filter((row) => keyOf(row) >= step.to);
    } else {
      const rows = (await iterator.next(step.rows)).map(show);
      expect(rows).to.deep.equal(expected.slice(0, step.rows));
      expected = expected.slice(step.rows);
    }
  }
  await iterator.close();
  expect(await dump(store)).to.deep.equal(showModel(model));
}

function showModel(model: ReadonlyMap<string, string>): string[] {
  const keys = [...model.keys()].toSorted((a, b) => (a < b ? -1 : 1));
  return keys.map((key) => `${key}=${model.get(key)}`);
}

function keyOf(row: string): string {
  return row.slice(0, row.indexOf("="));
}

async function clear(store: Store): Promise<void> {
  const rows = await readAll(store.iterate({ ...everything, values: false }));
  await store.write(
    rows.map(({ key }): StoreWrite => ({ type: "del", key })),
    unsynced,
  );
}

async function dump(store: Store): Promise<string[]> {
  return (await readAll(store.iterate(everything))).map(show);
}

async function keysIn(store: Store, from: string, to: string): Promise<string[]> {
  const rows = await readAll(store.iterate({ from: bytes(from), to: bytes(to) }));
  return rows.map((row) => text(row.key));
}

async function readAll(iterator: StoreIterator): Promise<StoreRow[]> {
  const all: StoreRow[] = [];
  for (;;) {
    const rows = await iterator.next(1_000);
    if (rows.length === 0) break;
    all.push(...rows);
  }
  await iterator.close();
  return all;
}

async function expectBug(call: () => Promise<unknown>): Promise<void> {
  const outcome = await Promise.resolve()
    .then(call)
    .catch((error: unknown) => error);
  expect(outcome).to.be.instanceOf(InvariantError);
}

function put(key: string, value: string): Extract<StoreWrite, { type: "put" }> {
  return { type: "put", key: bytes(key), value: bytes(value) };
}

function del(key: string): StoreWrite {
  return { type: "del", key: bytes(key) };
}

function show(row: StoreRow): string {
  return `${text(row.key)}=${text(row.value)}`;
}

/** One character a byte. Not a Buffer: actors hand over either. */
function bytes(latin1: string): Uint8Array {
  return new Uint8Array(Buffer.from(latin1, "latin1"));
}

function text(data: Uint8Array): string {
  return Buffer.from(data).toString("latin1");
}

/** Bytes that no compression makes smaller, the same each time. */
function noise(count: number): Uint8Array {
  const data = new Uint8Array(count);
  let state = 1;
  for (let index = 0; index < count; index += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    data[index] = state >>> 24;
  }
  return data;
}
