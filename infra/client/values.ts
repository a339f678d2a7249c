/**
 * Values to bytes and back, by content type.
 *
 * JSON text is kept by the store as it is sent, so what is encoded here is what every other
 * program reads. A value that JSON would silently change to something else at the top (undefined,
 * a function, NaN) is refused; inside objects JSON.stringify's own rules hold.
 */
import { Decoder, Encoder } from "@msgpack/msgpack";
import { KvError } from "../../protocol/errors.js";
import type { ContentType } from "../../protocol/operation.js";

const encoder = new Encoder();
const decoder = new Decoder();
const utf8Encoder = new TextEncoder();
const utf8Decoder = new TextDecoder("utf-8", { fatal: true });

export interface EncodedValue {
  readonly bytes: Uint8Array;
  readonly contentType: ContentType;
}

/** `bad-request` if the value cannot be said in the content type. */
export function encodeValue(value: unknown, contentType: ContentType | undefined): EncodedValue {
  if (value instanceof Uint8Array) {
    return { bytes: value, contentType: contentType ?? "application/octet-stream" };
  }
  switch (contentType) {
    case undefined:
    case "application/json":
      return { bytes: encodeJson(value), contentType: "application/json" };
    case "application/msgpack":
      return { bytes: encodeMessagePack(value), contentType };
    case "text/plain":
      if (typeof value === "string") return { bytes: utf8Encoder.encode(value), contentType };
      throw unsuitable("a string or a Uint8Array", contentType, value);
    case "application/octet-stream":
      throw unsuitable("a Uint8Array", contentType, value);
  }
}

export function encodeJson(value: unknown): Uint8Array {
  let text: string | undefined;
  try {
    text = JSON.stringify(value) as string | undefined;
  } catch (cause) {
    throw new KvError(
      "bad-request",
      `value: cannot be written as JSON: ${String(cause)}`,
      {},
      { cause },
    );
  }
  if (text === undefined || (typeof value === "number" && !Number.isFinite(value))) {
    throw new KvError(
      "bad-request",
      `value: JSON has no ${typeof value} like ${String(value)}; to remove a key use del`,
    );
  }
  return utf8Encoder.encode(text);
}

function encodeMessagePack(value: unknown): Uint8Array {
  if (value === undefined) throw unsuitable("a value", "application/msgpack", value);
  try {
    return encoder.encode(value);
  } catch (cause) {
    throw new KvError(
      "bad-request",
      `value: cannot be written as MessagePack: ${String(cause)}`,
      {},
      { cause },
    );
  }
}

/** As the content type says: an object, a string, or the bytes themselves. */
export function decodeValue(bytes: Uint8Array, contentType: ContentType): unknown {
  switch (contentType) {
    case "application/json":
      return decodeBy("JSON", bytes, () => JSON.parse(utf8Decoder.decode(bytes)) as unknown);
    case "application/msgpack":
      return decodeBy("MessagePack", bytes, () => decoder.decode(bytes));
    case "text/plain":
      return decodeText(bytes);
    case "application/octet-stream":
      return bytes;
  }
}

export function decodeText(bytes: Uint8Array): string {
  return decodeBy("UTF-8 text", bytes, () => utf8Decoder.decode(bytes));
}

function decodeBy<Value>(form: string, bytes: Uint8Array, decode: () => Value): Value {
  try {
    return decode();
  } catch (cause) {
    throw new KvError(
      "unsupported",
      `value: ${bytes.length} bytes that are no ${form}; read them with as: "bytes"`,
      {},
      { cause },
    );
  }
}

function unsuitable(wanted: string, contentType: ContentType, value: unknown): KvError {
  return new KvError(
    "bad-request",
    `value: ${contentType} takes ${wanted}, received ${value === null ? "null" : typeof value}`,
  );
}
