/**
 * CRC-32C against the vectors of RFC 3720 (iSCSI), and against itself bit by bit.
 */
import { expect } from "chai";
import fc from "fast-check";
import { crc32c, maskCrc } from "../../../infra/rocksdb/crc32c.js";

describe("crc-32c", () => {
  const ascending = Buffer.from(Array.from({ length: 32 }, (_, index) => index));
  const vectors = [
    ["123456789", Buffer.from("123456789"), 0xe3069283],
    ["32 zeros", Buffer.alloc(32), 0x8a9136aa],
    ["32 times FF", Buffer.alloc(32, 0xff), 0x62a8ab43],
    ["00 to 1F", ascending, 0x46dd794e],
    ["nothing", Buffer.alloc(0), 0],
  ] as const;
  for (const [name, bytes, expected] of vectors) {
    it(`of ${name} is ${expected.toString(16)}`, () => {
      expect(crc32c(bytes)).to.equal(expected);
    });
  }

  it("of any part of any bytes is that of the definition, however it is put together", () => {
    const bytes = fc.uint8Array({ maxLength: 100 });
    fc.assert(
      fc.property(bytes, fc.nat(100), fc.nat(100), (all, one, other) => {
        const [from, to] = [Math.min(one, other, all.length), Math.min(other, all.length)];
        const expected = bitByBit(all.subarray(from, Math.max(from, to)));
        expect(crc32c(all, from, Math.max(from, to))).to.equal(expected);
        const half = crc32c(all, 0, from);
        expect(crc32c(all, from, all.length, half)).to.equal(bitByBit(all));
      }),
    );
  });

  it("is masked as RocksDB does", () => {
    // crc32c_test.cc: a mask that is not the number itself, and is undone by the reverse.
    const crc = crc32c(Buffer.from("foo"));
    const rotated = (maskCrc(crc) - 0xa282ead8) >>> 0;
    expect(maskCrc(crc)).not.to.equal(crc);
    expect(((rotated >>> 17) | (rotated << 15)) >>> 0).to.equal(crc);
  });
});

function bitByBit(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}
