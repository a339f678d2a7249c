/**
 * Checks a data file of RocksDB (NNNNNN.sst) byte by byte: every block against its checksum, and
 * that the blocks are all there is.
 *
 *   file     data blocks, meta blocks (filter, properties), index block, metaindex block, footer
 *   block    its bytes, compression u8 (0 none, 1 Snappy), masked CRC-32C u32 of both before
 *   footer   53 bytes: checksum kind u8 (1), place of the metaindex, place of the index, zeros up
 *            to byte 41, format u32, magic u64                                 all little-endian
 *   place    offset and length of a block without those 5 bytes, two varints
 *   rows of index and metaindex, up to the restarts that end the block:
 *            shared 0, key length, [metaindex: value length,] key, place       varints
 *   restarts offsets u32, and their count u32 at the very end
 *
 * Reader: footer, index, metaindex; the places that these name follow each other without a gap from
 * byte 0 to the footer, so what was checked is the whole file. RocksDB's own iterators do not check
 * (rocks-store.ts, trap 9).
 *
 * Source: table/format.cc and table/block_based/ of RocksDB 6.17, with the package's settings:
 * block index, full filter, format 4, CRC-32C. Files of other settings are refused as damaged;
 * this package makes none.
 */
import { open, type FileHandle } from "node:fs/promises";
import { crc32c, maskCrc } from "./crc32c.js";
import { FieldReader } from "./rocks-manifest.js";
import { unsnap } from "./snappy.js";

const FOOTER_BYTES = 53;
const TRAILER_BYTES = 5;
const MAGIC = 0x88e241b785f4cff7n;
const CHECKSUM_CRC32C = 1;
const FORMAT = 4;
const SNAPPY = 1;
/** Read and checked in one go: some milliseconds of this thread. */
const READ_BYTES = 1_024 * 1_024;

interface Place {
  readonly offset: number;
  readonly length: number;
}

/** Bytes of the file that the check needs next. */
export interface Stretch {
  readonly offset: number;
  readonly length: number;
}

/**
 * Throws Error that says which bytes are wrong. `pace` is called before each read with how many
 * bytes it will be. Cost: reads the file once; 3 ms of this thread for a megabyte.
 */
export async function checkTableFile(
  path: string,
  bytes: number,
  pace: (bytes: number) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    if (size !== bytes) throw new Error(`it has ${size} bytes, ${bytes} were written`);
    await checkTable(file, bytes, pace);
  } finally {
    await file.close();
  }
}

async function checkTable(
  file: FileHandle,
  size: number,
  pace: (bytes: number) => Promise<void>,
): Promise<void> {
  const check = tableCheck(size);
  for (let step = check.next(); step.done !== true;) {
    const { offset, length } = step.value;
    await pace(length);
    step = check.next(await read(file, offset, length));
  }
}

/**
 * The check without its reads: yields what is to be read, and is given those bytes. Throws Error
 * for any bytes that are no table.
 */
export function* tableCheck(size: number): Generator<Stretch, void, Buffer> {
  if (size < FOOTER_BYTES) throw new Error(`${size} bytes are too few for it`);
  const footer = yield { offset: size - FOOTER_BYTES, length: FOOTER_BYTES };
  const { index, metaindex } = readFooter(footer);
  const ofData = placesIn(yield* readBlock(size, index), false);
  const ofMeta = placesIn(yield* readBlock(size, metaindex), true);
  const places = withoutTwins([...ofData, ...ofMeta, index, metaindex]);
  places.sort((one, other) => one.offset - other.offset);
  let end = 0;
  for (const { offset, length } of places) {
    if (offset !== end) throw new Error(`of its blocks, one ends at ${end} and none begins there`);
    end = offset + length + TRAILER_BYTES;
  }
  if (end !== size - FOOTER_BYTES) throw new Error(`its blocks end at ${end}, not at its footer`);
  for (let first = 0; first < places.length;) {
    const from = places[first]!.offset;
    let next = first;
    do next += 1;
    while (next < places.length && endOf(places[next]!) - from <= READ_BYTES);
    const bytes = yield { offset: from, length: endOf(places[next - 1]!) - from };
    for (const place of places.slice(first, next)) checkBlock(bytes, from, place);
    first = next;
  }
}

function endOf({ offset, length }: Place): number {
  return offset + length + TRAILER_BYTES;
}

/** The metaindex may name the index too. */
function withoutTwins(places: readonly Place[]): Place[] {
  return [...new Map(places.map((place) => [place.offset, place])).values()];
}

function readFooter(bytes: Buffer): { metaindex: Place; index: Place } {
  if (bytes.readBigUInt64LE(FOOTER_BYTES - 8) !== MAGIC) throw new Error("it has no footer");
  const format = bytes.readUInt32LE(FOOTER_BYTES - 12);
  if (bytes[0] !== CHECKSUM_CRC32C || format !== FORMAT) {
    throw new Error(`its footer has checksums of kind ${bytes[0]} and format ${format}`);
  }
  const reader = new FieldReader(bytes, 1);
  return { metaindex: readPlace(reader), index: readPlace(reader) };
}

function readPlace(reader: FieldReader): Place {
  const offset = reader.number();
  return { offset, length: reader.number() };
}

function* readBlock(size: number, place: Place): Generator<Stretch, Buffer, Buffer> {
  if (endOf(place) > size) throw new Error(`a block at ${place.offset} goes past its end`);
  const bytes = yield { offset: place.offset, length: place.length + TRAILER_BYTES };
  checkBlock(bytes, place.offset, place);
  const isCompressed = bytes[place.length] === SNAPPY;
  const content = bytes.subarray(0, place.length);
  return isCompressed ? unsnap(content) : content;
}

/** `bytes` begin at `from` of the file. */
function checkBlock(bytes: Buffer, from: number, { offset, length }: Place): void {
  const at = offset - from;
  const end = at + length + 1;
  if (maskCrc(crc32c(bytes, at, end)) === bytes.readUInt32LE(end)) return;
  throw new Error(`its block of ${length} bytes at ${offset} is not what was written`);
}

function placesIn(block: Buffer, hasLengths: boolean): Place[] {
  const restartCount = block.length < 4 ? 0 : block.readUInt32LE(block.length - 4);
  const end = block.length - 4 - 4 * restartCount;
  if (end < 0) throw new Error("its index has no end");
  const reader = new FieldReader(block.subarray(0, end));
  const places: Place[] = [];
  while (!reader.isAtEnd) {
    const shared = reader.number();
    if (shared !== 0) throw new Error("its index is of another format");
    const keyLength = reader.number();
    if (hasLengths) reader.number();
    reader.raw(keyLength);
    places.push(readPlace(reader));
  }
  return places;
}

async function read(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  const { bytesRead } = await file.read(bytes, 0, length, offset);
  if (bytesRead !== length) throw new Error(`${bytesRead} of ${length} bytes at ${offset}`);
  return bytes;
}
