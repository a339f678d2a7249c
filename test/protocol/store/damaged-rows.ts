/**
 * Damaged rows: what each decoder of a stored row must notice.
 */
import { expect } from "chai";
import { DamagedError } from "../../../protocol/damaged.js";

export function expectDamageNoticed(row: Uint8Array, decode: (row: Uint8Array) => unknown): void {
  for (let size = 0; size < row.length; size += 1) {
    expect(() => decode(row.subarray(0, size)), `${size} bytes`).to.throw(DamagedError);
  }
  for (let bit = 0; bit < 8 * row.length; bit += 1) {
    const flipped = Buffer.from(row);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    expect(() => decode(flipped), `bit ${bit}`).to.throw(DamagedError);
  }
}
