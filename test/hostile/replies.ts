/**
 * What an answer may look like, by the kind of message that it answers. Anything else is a fault
 * of the store: an error that is not of the closed list, a code that is not its name's, a body
 * without its form, and every `internal`, which means a bug.
 */
import { decode } from "@msgpack/msgpack";
import { parseHeaders } from "../../infra/nats/nats-message.js";
import { errorNames, KvError, type ErrorName } from "../../protocol/errors.js";
import { decodeSeedReply } from "../../protocol/node/seed.js";
import type { HostileMessage, Kind } from "./messages.js";
import type { RawMessage } from "./raw-nats.js";

/** What came: an error of the list, or one of these. */
export type Verdict = ErrorName | "done" | "no responders" | "stored" | "not stored";

const storedKinds: readonly Kind[] = ["log", "event", "ring bucket"];

/** Throws an Error that says what is wrong with the reply. */
export function judge(message: HostileMessage, { headers, data }: RawMessage): Verdict {
  if (isUnheard({ headers, data })) return "no responders";
  const { kind } = message;
  const isMarker = kind === "relay" && message.verb === "relay";
  if (storedKinds.includes(kind) || isMarker) return judgeStored(data);
  if (kind === "shard") return judgePacked(data, message.verb === "get");
  if (kind === "position, packed" && message.verb !== "bogus") return judgePacked(data);
  if (kind === "node" || kind === "repair") return judgeNode(message.verb, data);
  if (kind === "service") return judgeService(message.verb, data);
  return judgeText(message, headers, data);
}

/** nats-server's own answer: nobody listens to the subject. */
export function isUnheard({ headers, data }: Pick<RawMessage, "headers" | "data">): boolean {
  return data.length === 0 && headers?.toString().startsWith("NATS/1.0 503") === true;
}

/** JetStream's own answer. */
function judgeStored(data: Buffer): Verdict {
  const { stream, error, duplicate } = mapOf(JSON.parse(data.toString()));
  if (typeof stream !== "string" && typeof error !== "object")
    throw new Error("no acknowledgement");
  return error === undefined && duplicate !== true ? "stored" : "not stored";
}

/** Of one node. None is to be repaired, so whatever is done to one is a fault. */
function judgeNode(verb: string, data: Buffer): Verdict {
  if (verb === "seed") return judgeSeed(data);
  const reply = mapOf(JSON.parse(data.toString()));
  if (reply["error"] !== undefined) return judgeError(reply["error"]);
  if (verb === "refill") throw new Error("a sound store is to be filled anew");
  const isNothing = reply["kind"] === "nothing" && reply["done"] === false;
  if (verb === "repair" && !isNothing) throw new Error(`a sound shard: ${JSON.stringify(reply)}`);
  if (verb !== "repair" && typeof reply["node"] !== "string") throw new Error("no node is named");
  return "done";
}

function judgeSeed(data: Buffer): Verdict {
  try {
    decodeSeedReply(data);
    return "done";
  } catch (error) {
    if (!(error instanceof KvError)) throw error;
    return judgeError(JSON.parse(data.subarray(1).toString()));
  }
}

/** NATS's micro protocol. */
function judgeService(verb: string, data: Buffer): Verdict {
  const { type, name, id } = mapOf(JSON.parse(data.toString()));
  const wanted = `io.nats.micro.v1.${verb.toLowerCase()}_response`;
  if (type !== wanted) throw new Error(`type ${String(type)}, not ${wanted}`);
  if (typeof name !== "string" || typeof id !== "string") throw new Error("no service is named");
  return "done";
}

function judgePacked(data: Buffer, isOfGets = false): Verdict {
  const reply = mapOf(decode(data));
  if (reply["error"] !== undefined) return judgeError(reply["error"]);
  const { outcomes } = reply;
  if (Array.isArray(outcomes)) {
    for (const outcome of outcomes) {
      const { error, verb } = mapOf(outcome);
      if (error !== undefined) judgeError(error);
      else if (isOfGets && verb !== undefined) throw new Error("something was written");
    }
    return "done";
  }
  const isPart = ["revision", "rows", "count"].some((name) => reply[name] !== undefined);
  if (!isPart) throw new Error(`a reply of ${Object.keys(reply).join()}`);
  return "done";
}

function judgeText(message: HostileMessage, bytes: Buffer | undefined, data: Buffer): Verdict {
  const headers = bytes && parseHeaders(bytes);
  const code = headers?.get("nats-service-error-code")?.[0];
  if (code !== undefined) {
    if ((headers?.get("nats-service-error")?.[0] ?? "") === "") throw new Error("no error text");
    const { error } = mapOf(JSON.parse(data.toString()));
    if (String(mapOf(error)["code"]) !== code) throw new Error(`header ${code}, body another`);
    return judgeError(error);
  }
  if (message.verb === "get") {
    if (!/^\d+$/.test(headers?.get("kv-revision")?.[0] ?? "")) throw new Error("no revision");
    return "done";
  }
  const reply = mapOf(JSON.parse(data.toString()));
  if (reply["error"] !== undefined) throw new Error("an error without its header");
  const type = `io.ringdex.v1.${message.verb}_response`;
  if (reply["type"] !== type) throw new Error(`type ${String(reply["type"])}, not ${type}`);
  return "done";
}

function judgeError(body: unknown): ErrorName {
  const { code, name, description, retryable, written } = mapOf(body);
  const known = errorNames.find((each) => each === name);
  if (known === undefined) throw new Error(`error ${String(name)} is not of the list`);
  if (new KvError(known, "").code !== code) throw new Error(`${known} has code ${String(code)}`);
  if (typeof description !== "string" || description === "") throw new Error("no description");
  if (typeof retryable !== "boolean") throw new Error("retryable is not said");
  if (written !== "no" && written !== "unknown") throw new Error("written is not said");
  if (known === "internal") throw new Error(`a bug: ${description}`);
  return known;
}

function mapOf(value: unknown): Record<string, unknown> {
  if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  throw new Error(`not a map: ${String(value)}`);
}
