/**
 * MessagePack from other programs: scanned first, then decoded.
 *
 * The library's decoder by itself would make room for whatever an array's head claims, so there is
 * no other way in the protocol to decode.
 */
import { Decoder } from "@msgpack/msgpack";
import { scanMsgpack } from "./msgpack-scan.js";

// One of each is enough: decoding never waits.
const decoder = new Decoder();
const exactDecoder = new Decoder({ useBigInt64: true });

/** Throws as scanMsgpack. Byte strings are views of `bytes`. Integers come as numbers. */
export function decodeMsgpack(bytes: Uint8Array): unknown {
  scanMsgpack(bytes);
  return decoder.decode(bytes);
}

/** As decodeMsgpack, but 64-bit integers come as bigint, so that none changes. */
export function decodeMsgpackExact(bytes: Uint8Array): unknown {
  scanMsgpack(bytes);
  return exactDecoder.decode(bytes);
}
