/**
 * Seed target: fills an empty store with another node's rows, and proves that it is complete.
 *
 * The row that says how far the log was applied comes first, but the target writes it last, when
 * the rows before it are synced: so a store with a filling cut short counts as empty. The target
 * checks rows as they come. It computes counts and digests of records and index again for each
 * position and compares them with the source's own (design.md, section 7). So it notices damage on
 * the way, and a damaged block of the source's disk.
 */
import type { Store, StoreWrite } from "../../infra/store.js";
import { DamagedError } from "../../protocol/damaged.js";
import { PositionDigest } from "../../protocol/digest.js";
import type { LogId, Position, Sequence } from "../../protocol/ids.js";
import { SeedRows, type SeedReply, type SeedRow } from "../../protocol/node/seed.js";
import { positionOf } from "../../protocol/position.js";
import { decodeAppliedRow } from "../../protocol/store/applied-row.js";
import { isKeyRow, KEY_ROW_HEAD_BYTES } from "../../protocol/store/key-rows.js";
import { decodeOutcomeRow } from "../../protocol/store/outcome-row.js";
import { decodePositionRow } from "../../protocol/store/position-row.js";
import { decodeRecord } from "../../protocol/store/record.js";
import {
  appliedKey,
  parseExpiryKey,
  parseIndexKey,
  parsePositionKey,
  parseRecordKey,
} from "../../protocol/store/store-keys.js";

export interface Seeded {
  readonly sequence: Sequence;
  readonly logId: LogId;
  readonly keys: number;
  readonly rows: number;
}

interface Figures {
  keys: number;
  bytes: number;
  /** Records that expire, less rows of `x`. */
  expiring: number;
  readonly digest: PositionDigest;
}

/** `next` gives the parts in order. Rejects with DamagedError, or with what `next` rejects with. */
export async function fillStore(store: Store, next: () => Promise<SeedReply>): Promise<Seeded> {
  const check = new SeedCheck();
  const rows = new SeedRows();
  for (;;) {
    const { isLast, bytes } = await next();
    const writes: StoreWrite[] = [];
    for (const row of rows.take(bytes)) {
      if (check.take(row)) writes.push({ type: "put", ...row });
    }
    await store.write(writes, { sync: false });
    if (isLast) break;
  }
  rows.end();
  const { applied, ...seeded } = check.end();
  // A log of batches on disk is synced up to this one: all rows before it are there if it is.
  await store.write([{ type: "put", key: appliedKey, value: applied }], { sync: true });
  return seeded;
}

class SeedCheck {
  #applied: Uint8Array | undefined;
  #positionCount = 0;
  #rows = 0;
  readonly #figures = new Map<Position, Figures>();
  readonly #stated = new Map<Position, Uint8Array>();

  /** False for the row that the caller must write last. */
  take({ key, value }: SeedRow): boolean {
    this.#rows += 1;
    const kind = String.fromCharCode(key[0] ?? 0);
    if (this.#applied === undefined) {
      if (kind !== "a") throw new DamagedError("the copied store does not say what it has applied");
      this.#positionCount = decodeAppliedRow(value).genesis.positionCount;
      this.#applied = value;
      return false;
    }
    if (kind === "d") this.#record(key, value);
    else if (kind === "i") this.#of(this.#positionOf(keyOfIndexRow(key))).digest.addIndex(key);
    else if (kind === "x") this.#of(parseExpiryKey(key).position).expiring -= 1;
    else if (kind === "n") this.#stated.set(parsePositionKey(key), value);
    else if (kind === "q") decodeOutcomeRow(value); // which compares its checksum
    return true;
  }

  #record(key: Uint8Array, value: Uint8Array): void {
    const parsed = parseRecordKey(key);
    const record = decodeRecord(value);
    const figures = this.#of(parsed.position);
    figures.keys += 1;
    figures.bytes += parsed.key.length + record.value.length;
    if (record.expiresAt !== 0) figures.expiring += 1;
    figures.digest.addRecord(parsed.key, record);
  }

  end(): Seeded & { readonly applied: Uint8Array } {
    if (this.#applied === undefined) throw new DamagedError("the copied store has no rows");
    for (const [position, bytes] of this.#stated) this.#compare(position, bytes);
    for (const position of this.#figures.keys()) {
      if (!this.#stated.has(position)) throw damaged(position, "it has no row with its figures");
    }
    const { sequence, logId } = decodeAppliedRow(this.#applied);
    const keys = [...this.#figures.values()].reduce((sum, each) => sum + each.keys, 0);
    return { sequence, logId, keys, rows: this.#rows, applied: this.#applied };
  }

  #compare(position: Position, bytes: Uint8Array): void {
    const stated = decodePositionRow(bytes);
    const found = this.#of(position);
    if (found.keys !== stated.keys || found.bytes !== stated.bytes) {
      throw damaged(position, `it has ${found.keys} records, but its figures say ${stated.keys}`);
    }
    if (!found.digest.equals(stated.digest)) throw damaged(position, "its digest differs");
    if (found.expiring !== 0) throw damaged(position, "its expiry rows do not match its records");
  }

  #positionOf(key: Uint8Array): Position {
    return positionOf(Buffer.from(key).toString(), this.#positionCount);
  }

  #of(position: Position): Figures {
    const found = this.#figures.get(position);
    if (found !== undefined) return found;
    const figures = { keys: 0, bytes: 0, expiring: 0, digest: new PositionDigest() };
    this.#figures.set(position, figures);
    return figures;
  }
}

/** Key rows have no typed value, which parseIndexKey wants. */
function keyOfIndexRow(row: Uint8Array): Uint8Array {
  return isKeyRow(row) ? row.subarray(KEY_ROW_HEAD_BYTES) : parseIndexKey(row).key;
}

function damaged(position: Position, reason: string): DamagedError {
  return new DamagedError(`position ${position} of the copied store: ${reason}`);
}
