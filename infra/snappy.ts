/**
 * Snappy, decompression only: what RocksDB packs the index of a data file with.
 *
 *   begin    length of the result, a varint
 *   element  its first byte's lower two bits say which: 0 bytes as they stand, 1 … 3 a copy of what
 *            the result already has, by length and distance
 *
 * Source: google/snappy, format_description.txt.
 */

const RESULT_BYTES_MAX = 256 * 1_024 * 1_024;

/** Throws Error for bytes that no compressor made. */
export function unsnap(bytes: Buffer): Buffer {
  let at = 0;
  const number = (size: number): number => {
    if (at + size > bytes.length) throw new Error("compressed bytes end early");
    at += size;
    return bytes.readUIntLE(at - size, size);
  };
  let length = 0;
  for (let shift = 0, byte = 0x80; byte >= 0x80; shift += 7) {
    byte = number(1);
    length += (byte & 0x7f) * 2 ** shift;
  }
  if (length > RESULT_BYTES_MAX) throw new Error(`${length} bytes are more than an index has`);
  const result = Buffer.allocUnsafe(length);
  let end = 0;
  while (at < bytes.length) {
    const tag = number(1);
    const kind = tag & 3;
    if (kind === 0) {
      const short = tag >>> 2;
      const size = (short < 60 ? short : number(short - 59)) + 1;
      if (at + size > bytes.length || end + size > length) throw new Error("bytes beyond the end");
      bytes.copy(result, end, at, at + size);
      at += size;
      end += size;
      continue;
    }
    const size = kind === 1 ? ((tag >>> 2) & 7) + 4 : (tag >>> 2) + 1;
    const distance = kind === 1 ? (tag >>> 5) * 256 + number(1) : number(kind === 2 ? 2 : 4);
    if (distance === 0 || distance > end || end + size > length)
      throw new Error("a copy of nothing");
    // Byte by byte: a copy may overlap what it makes.
    for (let index = 0; index < size; index += 1, end += 1) result[end] = result[end - distance]!;
  }
  if (end !== length) throw new Error(`${end} of ${length} bytes`);
  return result;
}
