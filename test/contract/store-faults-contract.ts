/**
 * What every Store holds after a crash, and what it says once it is closed.
 *
 * Rule L8 counts on this: what was written with `sync` is there, and of what came after a beginning
 * is there, batch by batch, none in part and none out of order.
 */
import { expect } from "chai";
import type { Store, StoreWrite } from "../../infra/store.js";

export interface FaultyFolder {
  open(): Promise<Store>;
  /**
   * The machine dies while the store is open: of what was written since the last `sync`, about
   * `share` (0 … 1) is on the disk. `open()` then finds what is left.
   */
  crash(share: number): Promise<void>;
  remove(): Promise<void>;
}

const BATCHES = 12;
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

  it("takes nothing and gives nothing once it is closed", async () => {
    await store.write([put("a", "1")], { sync: true });
    await store.close();
    const attempts = [
      () => store.write([put("a", "2")], { sync: false }),
      () => store.getMany([Buffer.from("a")]),
    ];
    for (const attempt of attempts) expect(await isRefused(attempt)).to.equal(true);
    store = await folder.open();
    expect((await rowsOf(store)).get("a")).to.equal("1");
  });
}

async function isRefused(attempt: () => Promise<unknown>): Promise<boolean> {
  try {
    await attempt();
    return false;
  } catch {
    return true;
  }
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
