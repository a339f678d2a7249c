/**
 * All fuzz targets.
 */
import type { Decoder } from "./decoder.js";
import { storedDecoders } from "./stored-decoders.js";
import { valueDecoders } from "./value-decoders.js";
import { wireDecoders } from "./wire-decoders.js";

export const decoders: readonly Decoder[] = [...wireDecoders, ...valueDecoders, ...storedDecoders];
