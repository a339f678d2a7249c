/**
 * All fuzz targets.
 */
import type { Decoder } from "./decoder.js";
import { fileDecoders } from "./file-decoders.js";
import { nodeDecoders } from "./node-decoders.js";
import { storedDecoders } from "./stored-decoders.js";
import { valueDecoders } from "./value-decoders.js";
import { wireDecoders } from "./wire-decoders.js";

export const decoders: readonly Decoder[] = [
  ...wireDecoders,
  ...nodeDecoders,
  ...valueDecoders,
  ...storedDecoders,
  ...fileDecoders,
];
