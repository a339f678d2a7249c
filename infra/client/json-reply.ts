/**
 * JSON requests and replies: the form of the verbs on many keys, which coordinators answer.
 */
import { KvError } from "../../protocol/errors.js";
import type { Message } from "../bus.js";

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The body, an object. Throws the error in it, and `internal` for any other bytes. */
export function bodyOf(reply: Message): Readonly<Record<string, unknown>> {
  let body: unknown;
  try {
    body = JSON.parse(utf8.decode(reply.data));
  } catch (cause) {
    throw new KvError(
      "internal",
      `a reply of ${reply.data.length} bytes is no JSON`,
      {},
      { cause },
    );
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new KvError("internal", "a reply's body is no JSON object");
  }
  if ("error" in body) throw KvError.fromBody(body.error);
  refuseAcknowledgement(body);
  return body as Record<string, unknown>;
}

/** A foreign stream that captures our subjects answers in our place. */
function refuseAcknowledgement(body: object): void {
  if (!("stream" in body && "seq" in body)) return;
  throw new KvError(
    "internal",
    `the JetStream stream ${String(body.stream)} captures this store's subjects and answered ` +
      "in place of a coordinator; take them out of its subjects",
  );
}
