/**
 * Values to bytes and back, by content type.
 *
 * JSON text is kept by the store as it is sent, so what is encoded here is what every other
 * program reads. What a format cannot tell is refused (tellable.ts), wherever in the value it is.
 */
import { Decoder, Encoder } from "@msgpack/msgpack";
import { KvError } from "../../protocol/errors.js";
import { DECODE_DEPTH_MAX } from "../../protocol/limits.js";
import type { ContentType } from "../../protocol/operation.js";
import { shownArgument } from "./arguments.js";
import type { GetOptions } from "./options.js";
import { checkText, tellable } from "./tellable.js";

// Members that are undefined are left out, as JSON does. The encoder counts a scalar as a level.
const encoder = new Encoder({ ignoreUndefined: true, maxDepth: DECODE_DEPTH_MAX + 1 });
const decoder = new Decoder();
const utf8Encoder = new TextEncoder();
const utf8Decoder = new TextDecoder("utf-8", { fatal: true });

export interface EncodedValue {
  readonly bytes: Uint8Array;
  readonly contentType: ContentType;
}

/** `bad-request` if the value cannot be told in the content type; `at` is its name in errors. */
export function encodeValue(
  value: unknown,
  contentType: ContentType | undefined,
  at = "value",
): EncodedValue {
  if (value instanceof Uint8Array) {
    return { bytes: value, contentType: contentType ?? "application/octet-stream" };
  }
  switch (contentType) {
    case undefined:
    case "application/json":
      return { bytes: encodeJson(tellable(value, "JSON", at)), contentType: "application/json" };
    case "application/msgpack":
      return { bytes: encoder.encode(tellable(value, "MessagePack", at)), contentType };
    case "text/plain":
      if (typeof value !== "string") {
        throw unsuitable(at, "a text or a Uint8Array", contentType, value);
      }
      checkText(value, at);
      return { bytes: utf8Encoder.encode(value), contentType };
    case "application/octet-stream":
      throw unsuitable(at, "a Uint8Array", contentType, value);
  }
}

function unsuitable(at: string, wanted: string, type: ContentType, received: unknown): KvError {
  const text = `${at}: ${type} takes ${wanted}; received ${shownArgument(received)}`;
  return new KvError("bad-request", text, { field: at });
}

/** Of a value that tellable.ts has let through, or of our own making. */
export function encodeJson(value: unknown): Uint8Array {
  return utf8Encoder.encode(JSON.stringify(value));
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

/** The same, unless the caller asks for the text or the bytes as they are stored. */
export function valueAs(
  bytes: Uint8Array,
  contentType: ContentType,
  as: GetOptions["as"],
): unknown {
  if (as === "bytes") return bytes;
  return as === "text" ? decodeText(bytes) : decodeValue(bytes, contentType);
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
