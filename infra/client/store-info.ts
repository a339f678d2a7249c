/**
 * Store info: what a store says of itself, in the client's words (docs/protocol.md, "ring, status,
 * info").
 */
import type { Names } from "../../protocol/nats/subjects.js";
import type { Caller } from "./caller.js";
import { bodyOf } from "./json-reply.js";
import type { CallOptions } from "./options.js";

export interface StoreInfo {
  readonly store: string;
  /** Of the node that answered. */
  readonly version: string;
  /** Rises with what changes how nodes apply the same log. */
  readonly behaviourVersion: number;
  readonly positionCount: number;
  /** Those that filters take. */
  readonly operators: readonly string[];
  /** By their names on the wire. */
  readonly limits: Readonly<Record<string, number>>;
}

interface InfoBody extends Pick<StoreInfo, "store" | "version" | "operators" | "limits"> {
  readonly behaviour_version: number;
  readonly position_count: number;
}

/** Asks a coordinator. */
export async function storeInfo(
  { caller, names }: { readonly caller: Caller; readonly names: Names },
  options: CallOptions,
): Promise<StoreInfo> {
  const payload = new Uint8Array(0);
  const outgoing = { subject: names.verb("info"), payload, isWrite: false };
  const body = await caller.call(outgoing, bodyOf, options);
  const { store, version, operators, limits, ...other } = body as unknown as InfoBody;
  const { behaviour_version: behaviourVersion, position_count: positionCount } = other;
  return { store, version, behaviourVersion, positionCount, operators, limits };
}
