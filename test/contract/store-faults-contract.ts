/**
 * What every Store holds after a crash and after a failed batch, and what it says once it is
 * closed.
 *
 * Rule L8 counts on this: what was written with `sync` is there, and of what came after a beginning
 * is there, batch by batch, none in part and none out of order.
 */
import { expect } from "chai";
import { StoreError } from "../../infra/store-error.js";
import type { Store, StoreWrite } from "../../infra/store.js";

export interface FaultyFolder {
  open(): Promise<Store>;
  /**
   * The machine dies while the store is open: of what was written since the last `sync`, about
   * `share` (0 … 1) is on the disk. `open()` then finds what is left.
   */
  crash(share: number): Promise<void>;
  /** Writes to a disk that fails meanwhile. Undefined where that cannot be had. */
  readonly failWrite: ((store: Store, batch: readonly StoreWrite[]) => Promise<void>) | undefined;
  remove(): Promise<void>;
}

const BATCHES = 12;
/** More than one block of a write-ahead log. */
const BATCH_BYTES = 40_000;
const everything = { from: Buffer.from("\x01"), to: Buffer.from([0xff]) };

export function storeFaultsContract(makeFolder: () => Promise<FaultyFolder>): void {
  let folder: FaultyFolder;
  let store: Store;
  beforeEach(async () => {
    folder = await makeFolder();
    store = await folder.open();
  });
  afterEach(async () => {
    await store.close();
    await folder.remove();
  });

  for (const share of [0, 0.3, 0.7, 1]) {
    it(`keeps synced batches and a beginning of the others, crashed at ${share}`, async () => {
      await store.write([put("a", "old"), put("gone", "x")], { sync: false });
      await store.write([put("a", "synced"), del("gone")], { sync: true });
      for (let number = 1; number <= BATCHES; number += 1) {
        const [left, right] = [`l${number}`, `r${number}`];
        await store.write([put(left, "1"), put("a", `${number}`), put(right, "2")], {
          sync: false,
        });
      }
      await folder.crash(share);
      store = await folder.open();
      const rows = await rowsOf(store);
      const kept = [...rows.keys()].filter((key) => key.startsWith("l")).length;
      expect(rows.get("a")).to.equal(kept === 0 ? "synced" : `${kept}`);
      expect(rows.has("gone")).to.equal(false);
      for (let number = 1; number <= BATCHES; number += 1) {
        expect(rows.has(`l${number}`), `batch ${number}`).to.equal(number <= kept);
        expect(rows.has(`r${number}`), `batch ${number}`).to.equal(number <= kept);
      }
      if (share === 0) expect(kept).to.equal(0);
      if (share === 1) expect(kept).to.equal(BATCHES);
      // What is written from here on stands on what was found.
      await store.write([put("after", "1")], { sync: true });
      expect((await rowsOf(store)).get("after")).to.equal("1");
    });
  }

  it("takes nothing after a failed batch, and has all of that or nothing", async function () {
    if (folder.failWrite === undefined) return this.skip();
    const without = new Map([["a", "1"]]);
    const all = new Map([
      ["a", "2"],
      ["b", "2".repeat(BATCH_BYTES)],
    ]);
    await store.write([put("a", "1")], { sync: true });
    const batch = [put("a", "2"), put("b", "2".repeat(BATCH_BYTES))];
    const error = await errorOf(folder.failWrite(store, batch));
    expect(error).to.be.instanceOf(StoreError);
    for (const sync of [false, true]) {
      expect(await errorOf(store.write([put("c", "3")], { sync }))).to.equal(error);
    }
    const rows = await rowsOf(store);
    expect(rows).to.deep.equal(rows.has("b") ? all : without);
    const [value = []] = await store.getMany([Buffer.from("a")]);
    expect(Buffer.from(value).toString()).to.equal(rows.get("a"));
    await store.close();
    store = await folder.open();
    const kept = await rowsOf(store);
    expect(kept).to.deep.equal(kept.has("b") ? all : without);
    await store.write([put("c", "4")], { sync: true });
    expect((await rowsOf(store)).get("c")).to.equal("4");
  });

  it("takes nothing and gives nothing once it is closed", async () => {
    await store.write([put("a", "1")], { sync: true });
    await store.close();
    const attempts = [
      () => store.write([put("a", "2")], { sync: false }),
      () => store.getMany([Buffer.from("a")]),
    ];
    for (const attempt of attempts) await errorOf(attempt());
    store = await folder.open();
    expect((await rowsOf(store)).get("a")).to.equal("1");
  });
}

async function errorOf(attempt: Promise<unknown>): Promise<unknown> {
  const error = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error === undefined) throw new Error("it was taken");
  return error;
}

async function rowsOf(store: Store): Promise<Map<string, string>> {
  const rows = new Map<string, string>();
  const iterator = store.iterate(everything);
  for (;;) {
    const part = await iterator.next(100);
    if (part.length === 0) break;
    for (const { key, value } of part) {
      rows.set(Buffer.from(key).toString(), Buffer.from(value ?? []).toString());
    }
  }
  await iterator.close();
  return rows;
}

function put(key: string, value: string): StoreWrite {
  return { type: "put", key: Buffer.from(key), value: Buffer.from(value) };
}

function del(key: string): StoreWrite {
  return { type: "del", key: Buffer.from(key) };
}
