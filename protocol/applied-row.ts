/**
 * Applied row (`a`): how far a replica has applied its log, and what it must know to go on.
 *
 * Written in every batch, with the records that it stands for. MessagePack, followed by its
 * xxhash32 so that damage is noticed.
 */
import { decode, encode } from "@msgpack/msgpack";
import type { Genesis } from "./entry.js";
import { hash32 } from "./digest.js";
import type { LogId, Sequence, TimeMs } from "./ids.js";
import { DamagedError } from "./record.js";

/** Layout of the store as a whole; another one is refused at opening. */
export const STORE_FORMAT = 1;

export interface AppliedRow {
  readonly format: number;
  readonly logId: LogId;
  readonly sequence: Sequence;
  /** max(previous, the entry's time). Rule L6. */
  readonly logTime: TimeMs;
  /** Rule L1. */
  readonly chain: bigint;
  /** xxhash64 of the log's message at `sequence`, whatever it was; compared when we come back. */
  readonly messageHash: bigint;
  readonly genesis: Genesis;
}

/** 64-bit numbers as hexadecimal text. */
type PackedRow = Omit<AppliedRow, "chain" | "messageHash"> & {
  readonly chain: string;
  readonly messageHash: string;
};

export function encodeAppliedRow(row: AppliedRow): Uint8Array {
  const body = encode({ ...row, chain: hex(row.chain), messageHash: hex(row.messageHash) });
  const bytes = Buffer.allocUnsafe(body.length + 4);
  bytes.set(body);
  bytes.writeUInt32BE(hash32(body), body.length);
  return bytes;
}

/** Throws DamagedError. */
export function decodeAppliedRow(data: Uint8Array): AppliedRow {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const end = bytes.length - 4;
  if (end < 0 || hash32(bytes.subarray(0, end)) !== bytes.readUInt32BE(end)) {
    throw new DamagedError("the row that says how far the log was applied");
  }
  const row = decode(bytes.subarray(0, end)) as PackedRow;
  return { ...row, chain: BigInt(`0x${row.chain}`), messageHash: BigInt(`0x${row.messageHash}`) };
}

function hex(value: bigint): string {
  return value.toString(16);
}
