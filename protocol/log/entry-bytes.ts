/**
 * Entry bytes: how the numbers, texts and times to live of a log entry are written and read.
 * entry.ts has their order and their meaning.
 */
import { assert } from "../assert.js";
import { contentTypes, type ContentType, type Ttl } from "../operation.js";

/** Bytes that no EntryWriter made. */
export class MalformedEntry extends Error {}

const TTL_KEEP = 0;
const TTL_NEVER = 1;
const TTL_MS = 2;

export class EntryWriter {
  #offset = 0;
  constructor(private readonly buffer: Buffer) {}

  written(): Buffer {
    return this.buffer.subarray(0, this.#offset);
  }
  u8(value: number): void {
    this.#offset = this.buffer.writeUInt8(value, this.#offset);
  }
  u16(value: number): void {
    this.#offset = this.buffer.writeUInt16BE(value, this.#offset);
  }
  u32(value: number): void {
    this.#offset = this.buffer.writeUInt32BE(value, this.#offset);
  }
  u48(value: number): void {
    this.#offset = this.buffer.writeUIntBE(value, this.#offset, 6);
  }
  u64(value: bigint): void {
    this.#offset = this.buffer.writeBigUInt64BE(value, this.#offset);
  }
  f64(value: number): void {
    this.#offset = this.buffer.writeDoubleBE(value, this.#offset);
  }
  raw(bytes: Uint8Array): void {
    this.buffer.set(bytes, this.#offset);
    this.#offset += bytes.length;
  }
  /** Length of 1 or 2 bytes, then the text as UTF-8. */
  text(text: string, lengthBytes: 1 | 2): void {
    const start = this.#offset + lengthBytes;
    const bytes = this.buffer.write(text, start, "utf8");
    assert(bytes < 2 ** (8 * lengthBytes), `${bytes} bytes of text fit ${lengthBytes} of length`);
    this.buffer.writeUIntBE(bytes, this.#offset, lengthBytes);
    this.#offset = start + bytes;
  }
  optionalText(text: string | undefined): void {
    if (text === undefined) return this.u16(0);
    this.text(`\0${text}`, 2);
  }
  ttl(ttl: Ttl): void {
    if (ttl === "keep") return this.u8(TTL_KEEP);
    if (ttl === "never") return this.u8(TTL_NEVER);
    this.u8(TTL_MS);
    this.u48(ttl);
  }
}

/** Reads past the end throw RangeError. */
export class EntryReader {
  #offset = 0;
  constructor(private readonly buffer: Buffer) {}

  get isAtEnd(): boolean {
    return this.#offset === this.buffer.length;
  }
  u8(): number {
    const value = this.buffer.readUInt8(this.#offset);
    this.#offset += 1;
    return value;
  }
  u16(): number {
    const value = this.buffer.readUInt16BE(this.#offset);
    this.#offset += 2;
    return value;
  }
  u48(): number {
    const value = this.buffer.readUIntBE(this.#offset, 6);
    this.#offset += 6;
    return value;
  }
  f64(): number {
    const value = this.buffer.readDoubleBE(this.#offset);
    this.#offset += 8;
    return value;
  }
  raw(bytes: number): Buffer {
    const end = this.#offset + bytes;
    if (end > this.buffer.length) throw new RangeError(`${bytes} bytes go past the end`);
    const raw = this.buffer.subarray(this.#offset, end);
    this.#offset = end;
    return raw;
  }
  text(bytes: number): string {
    return this.raw(bytes).toString("utf8");
  }
  optionalText(): string | undefined {
    const bytes = this.u16();
    return bytes === 0 ? undefined : this.text(bytes).slice(1);
  }
  contentType(): ContentType {
    const contentType = contentTypes[this.u8()];
    if (contentType === undefined) throw new MalformedEntry("unknown content type");
    return contentType;
  }
  value(): Uint8Array {
    const bytes = this.buffer.readUInt32BE(this.#offset);
    this.#offset += 4;
    return this.raw(bytes);
  }
  ttl(): Ttl {
    const form = this.u8();
    if (form === TTL_KEEP) return "keep";
    if (form === TTL_NEVER) return "never";
    if (form === TTL_MS) return this.u48();
    throw new MalformedEntry(`unknown form ${form} of a time to live`);
  }
}
