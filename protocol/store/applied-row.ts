/**
 * Applied row (`a`): how far a replica has applied its log, and what it must know to go on.
 *
 * Written in every batch, with the records that it stands for:
 *
 *   offset  bytes  what, big-endian
 *        0      2  format of the store
 *        2      8  log-id
 *       10      6  sequence
 *       16      6  log time
 *       22      8  chain
 *       30      8  hash of the log's message at `sequence`, its time included
 *       38      …  genesis, as MessagePack
 *     last      4  xxhash32 of everything before it
 */
import { encode } from "@msgpack/msgpack";
import { DamagedError } from "../damaged.js";
import { hash32, hash64 } from "../digest.js";
import type { LogId, Sequence, TimeMs } from "../ids.js";
import { readGenesis, type Genesis } from "../log/entry.js";

/** Layout of the store as a whole; another one is refused at opening. */
export const STORE_FORMAT = 2;

export interface AppliedRow {
  readonly format: number;
  readonly logId: LogId;
  readonly sequence: Sequence;
  /** max(previous, the entry's time). Rule L6. */
  readonly logTime: TimeMs;
  /** Rule L1. */
  readonly chain: bigint;
  /** messageHashOf the log's message at `sequence`, whatever it was; compared when we come back. */
  readonly messageHash: bigint;
  readonly genesis: Genesis;
}

/**
 * XXH64 of the message's bytes, with its time as the seed. An entry that the log lost, and that its
 * proposer sent again, has the same bytes at the same place; but its time is another, and that is
 * what records are dated and expire by.
 */
export function messageHashOf(data: Uint8Array, time: TimeMs): bigint {
  return hash64(data, BigInt(time));
}

const GENESIS_AT = 38;
const CHECKSUM_BYTES = 4;

/** A log has one genesis, and the row is written thousands of times a second. */
const encoded = new WeakMap<Genesis, Uint8Array>();

/** Cost: one copy of the genesis, about 3 bytes a position. */
export function encodeAppliedRow(row: AppliedRow): Buffer {
  let genesis = encoded.get(row.genesis);
  if (genesis === undefined) {
    genesis = encode(row.genesis);
    encoded.set(row.genesis, genesis);
  }
  const end = GENESIS_AT + genesis.length;
  const bytes = Buffer.allocUnsafe(end + CHECKSUM_BYTES);
  bytes.writeUInt16BE(row.format, 0);
  bytes.write(row.logId, 2, 8, "hex");
  bytes.writeUIntBE(row.sequence, 10, 6);
  bytes.writeUIntBE(row.logTime, 16, 6);
  bytes.writeBigUInt64BE(row.chain, 22);
  bytes.writeBigUInt64BE(row.messageHash, 30);
  bytes.set(genesis, GENESIS_AT);
  bytes.writeUInt32BE(hash32(bytes.subarray(0, end)), end);
  return bytes;
}

/** Throws DamagedError. */
export function decodeAppliedRow(data: Uint8Array): AppliedRow {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const end = bytes.length - CHECKSUM_BYTES;
  if (end < GENESIS_AT || hash32(bytes.subarray(0, end)) !== bytes.readUInt32BE(end)) {
    throw damaged();
  }
  return {
    format: bytes.readUInt16BE(0),
    logId: bytes.toString("hex", 2, 10) as LogId,
    sequence: bytes.readUIntBE(10, 6) as Sequence,
    logTime: bytes.readUIntBE(16, 6) as TimeMs,
    chain: bytes.readBigUInt64BE(22),
    messageHash: bytes.readBigUInt64BE(30),
    genesis: genesisIn(bytes.subarray(GENESIS_AT, end)),
  };
}

function genesisIn(bytes: Uint8Array): Genesis {
  try {
    return readGenesis(bytes);
  } catch (cause) {
    throw damaged(cause);
  }
}

function damaged(cause?: unknown): DamagedError {
  return new DamagedError("damaged applied row (how far the log is applied)", { cause });
}
