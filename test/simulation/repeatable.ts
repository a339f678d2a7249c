/**
 * Repeatable: decides which messages a fault may deliver twice.
 *
 * NATS delivers a published message once at most; if it comes twice, a sender without an answer
 * sent it twice. So a fault may double a message only if its sender might send it again: a read, or
 * a write with a request id (rule L4). It never doubles a reply, or a write without an id, which a
 * careful sender sends once.
 */
import type { Message } from "../../infra/bus.js";
import { KvError } from "../../protocol/errors.js";
import { isSingleKeyVerb, type Names } from "../../protocol/nats/subjects.js";
import { parsePackedBatch, parsePackedRequest } from "../../protocol/request/packed.js";

const reads = new Set(["get", "find", "count", "keys", "status", "ring", "info"]);

export function isRepeatable(names: Names, positionCount: number, message: Message): boolean {
  const ring = names.parseRingSubject(message.subject);
  const shard = names.parseShardSubject(message.subject);
  const verb = names.parseVerbSubject(message.subject)?.verb ?? ring?.verb ?? shard?.verb;
  if (verb === undefined) return false;
  if (reads.has(verb) || message.headers?.has("kv-request-id") === true) return true;
  try {
    if (ring !== undefined && ring.key === undefined) {
      const request = parsePackedRequest(ring.verb, message.data, positionCount);
      return request.kind === "write" && request.operation.request !== undefined;
    }
    if (shard?.verb === "batch") {
      const { requests } = parsePackedBatch(message.data, positionCount);
      return requests.every(
        (each) => each.kind !== "write" || each.operation.request !== undefined,
      );
    }
  } catch (error) {
    if (error instanceof KvError) return false;
    throw error;
  }
  return (isSingleKeyVerb(verb) || verb === "batch") && namesItself(message);
}

/** JSON requests carry their id in the payload. */
function namesItself({ data }: Message): boolean {
  try {
    const body = JSON.parse(Buffer.from(data).toString()) as { request_id?: unknown };
    return typeof body === "object" && body !== null && typeof body.request_id === "string";
  } catch {
    return false;
  }
}
