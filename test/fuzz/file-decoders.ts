/**
 * Fuzz targets: the readers of RocksDB's files. As with what we store ourselves, checksums are put
 * right after each mutation, for a writer with a bug, or a person, gets them right too.
 */
import { compressSync } from "snappy";
import { crc32c, maskCrc } from "../../infra/rocksdb/crc32c.js";
import { readLogFile } from "../../infra/rocksdb/rocks-log-file.js";
import { readManifest } from "../../infra/rocksdb/rocks-manifest.js";
import { tableCheck } from "../../infra/rocksdb/rocks-table-file.js";
import { unsnap } from "../../infra/rocksdb/snappy.js";
import { orPlainError, same, utf8, type Decoder } from "./decoder.js";

const BLOCK_BYTES = 32 * 1_024;
const HEADER_BYTES = 7;
const FULL = 1;
const [FIRST, LAST] = [2, 4];

/** A fragment of a log file, its checksum still to be put right. */
function fragment(type: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(HEADER_BYTES);
  head.writeUInt16LE(payload.length, 4);
  head[6] = type;
  return Buffer.concat([head, payload]);
}

/** Puts the checksum right of each fragment that is there to its end. */
function withFragmentChecksums(bytes: Buffer): Buffer {
  const file = Buffer.from(bytes);
  let at = 0;
  for (;;) {
    const left = BLOCK_BYTES - (at % BLOCK_BYTES);
    if (left < HEADER_BYTES) at += left;
    const end =
      at + HEADER_BYTES <= file.length ? at + HEADER_BYTES + file.readUInt16LE(at + 4) : 0;
    if (end === 0 || end > file.length) return file;
    file.writeUInt32LE(maskCrc(crc32c(file, at + 6, end)), at);
    at = end;
  }
}

function logFile(bytes: Buffer): void {
  checkLogFile(bytes);
  checkLogFile(withFragmentChecksums(bytes));
  // Where a block ends, so many bytes later as the first one says.
  const filler = fragment(FULL, Buffer.alloc(BLOCK_BYTES - HEADER_BYTES - (bytes[0] ?? 0)));
  checkLogFile(withFragmentChecksums(Buffer.concat([filler, bytes.subarray(1)])));
}

function checkLogFile(bytes: Buffer): void {
  const { records, end } = readLogFile(bytes);
  if (end > bytes.length) throw new Error("records end after the file");
  same(readLogFile(bytes.subarray(0, end)), { records, end, tail: "none" }, "what is whole");
}

function manifest(bytes: Buffer): void {
  orPlainError(() => readManifest(bytes));
  const file = withFragmentChecksums(fragment(FULL, bytes.subarray(0, BLOCK_BYTES - HEADER_BYTES)));
  const found = orPlainError(() => readManifest(file));
  for (const { number, bytes: size } of found?.files ?? []) {
    if (!(number >= 0 && size >= 0)) throw new Error("a file without a number or a size");
  }
}

/** Varints up to 2^28, a row of tagged fields. */
function fields(...parts: readonly (number | string)[]): Buffer {
  const bytes: number[] = [];
  const varint = (value: number): void => {
    let left = value;
    for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) | 0x80);
    bytes.push(left);
  };
  for (const part of parts) {
    varint(typeof part === "number" ? part : part.length);
    if (typeof part === "string") bytes.push(...Buffer.from(part));
  }
  return Buffer.from(bytes);
}

/** The bytes of a file, as tableCheck asks for them. */
function checkTable(file: Buffer): void {
  const check = tableCheck(file.length);
  for (let step = check.next(); step.done !== true;) {
    const { offset, length } = step.value;
    const bytes = file.subarray(offset, offset + length);
    if (bytes.length !== length) throw new RangeError(`${length} bytes at ${offset} are asked for`);
    step = check.next(bytes);
  }
}

const MAGIC = 0x88e241b785f4cff7n;
const SNAPPY = 1;

/** A block with its trailer. */
function block(content: Uint8Array, compression: number): Buffer {
  const bytes = Buffer.concat([content, Buffer.of(compression), Buffer.alloc(4)]);
  bytes.writeUInt32LE(maskCrc(crc32c(bytes, 0, content.length + 1)), content.length + 1);
  return bytes;
}

/** A table of one data block, whose index may say anything. */
function tableOf(index: Buffer, metaindex: Buffer, data: Buffer, compression: number): Buffer {
  const blocks = [block(data, 0), block(metaindex, compression), block(index, compression)];
  const [first, second] = blocks.map(({ length }) => length) as [number, number];
  const places = fields(first, metaindex.length, first + second, index.length);
  const footer = Buffer.alloc(53);
  footer[0] = 1;
  places.copy(footer, 1);
  footer.writeUInt32LE(4, 41);
  footer.writeBigUInt64LE(MAGIC, 45);
  return Buffer.concat([...blocks, footer]);
}

/** Compression, the length of the index and it, the length of the metaindex and it, the data. */
function table(bytes: Buffer): void {
  orPlainError(() => checkTable(bytes));
  const metaAt = 3 + (bytes[1] ?? 0);
  const dataAt = metaAt + (bytes[2] ?? 0);
  const [index, metaindex] = [bytes.subarray(3, metaAt), bytes.subarray(metaAt, dataAt)];
  const file = tableOf(index, metaindex, bytes.subarray(dataAt), (bytes[0] ?? 0) % 2);
  orPlainError(() => checkTable(file));
}

function tableSeed(index: Buffer, metaindex: Buffer, compression: number): Buffer {
  const [one, other] = [index, metaindex].map((each) =>
    compression === SNAPPY ? compressSync(each) : each,
  ) as [Buffer, Buffer];
  const head = Buffer.of(compression, one.length, other.length);
  return Buffer.concat([head, one, other, utf8("data")]);
}

const restarts = Buffer.of(0, 0, 0, 0, 1, 0, 0, 0);
const index = Buffer.concat([fields(0, 1), Buffer.from("k"), fields(0, 4), restarts]);
const noRows = Buffer.alloc(4);
/** Names the index, as a metaindex may: it lies behind data and metaindex. */
const metaOf = (indexAt: number): Buffer =>
  Buffer.concat([fields(0, 1, 2), Buffer.from("m"), fields(indexAt, index.length), restarts]);
const META_BYTES = metaOf(0).length;

function snappy(bytes: Buffer): void {
  orPlainError(() => unsnap(bytes));
  const packed = compressSync(bytes);
  same(unsnap(packed), bytes, "what was packed");
}

const edit = fields(2, 9, 3, 12, 4, 700, 1, "comparator");
const files = fields(103, 0, 5, 1_000, "aa", "zz", 1, 650, 5, "x", 1, 2, 10, 6, 1, 4, 9, 0);

export const fileDecoders: readonly Decoder[] = [
  {
    name: "rocks-log-file",
    seeds: [
      Buffer.concat([fragment(FULL, utf8("record")), fragment(FULL, utf8("another"))]),
      Buffer.concat([fragment(FIRST, utf8("half")), fragment(LAST, utf8(" and half"))]),
      Buffer.concat([Buffer.of(9), fragment(FIRST, utf8("a")), fragment(LAST, utf8("b"))]),
    ],
    run: logFile,
  },
  {
    name: "rocks-manifest",
    seeds: [edit, Buffer.concat([edit, files]), fields(5, 1, "k", 200, 1, 201, "cf", 202, 203, 3)],
    run: manifest,
  },
  {
    name: "rocks-table",
    seeds: [
      tableSeed(index, noRows, 0),
      tableSeed(index, metaOf(4 + 5 + META_BYTES + 5), 0),
      tableSeed(index, noRows, SNAPPY),
    ],
    run: table,
  },
  {
    name: "snappy",
    seeds: [compressSync(utf8("abcabcabcabc")), compressSync(Buffer.alloc(300))],
    run: snappy,
  },
];
