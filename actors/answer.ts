/**
 * Answer: sends a reply to the client, and does not fail because of its reply subject or its size.
 *
 * The client chooses the reply subject, and nats-server does not check whether the client may
 * publish there; the node may publish nearly everywhere. So a reply must never act as another kind
 * of message. None goes to the store's own subjects, where an actor would take it for a request or
 * a log entry, nor to a subject that begins with `$` (JetStream's API, buckets, services). The
 * actor carries out such a request like one without a reply subject.
 *
 * A reply that is larger than the server accepts becomes `too-large`.
 */
import type { Surroundings } from "./surroundings.js";
import type { Message } from "../infra/bus.js";
import { KvError } from "../protocol/errors.js";
import { REPLY_SUBJECT_BYTES_MAX } from "../protocol/limits.js";
import type { Reply } from "../protocol/reply/result.js";

/** White space, controls, wildcards: the Bus takes them for a bug, or they name many subjects. */
const unfit = /[\s\0-\u0020\u007f*>]/;

export class Answers {
  readonly #ownPrefix: string;

  constructor(private readonly around: Pick<Surroundings, "names" | "bus" | "logger">) {
    this.#ownPrefix = `${around.names.store}.`;
  }

  /** `instead` makes the reply that tells an error, in the form in which the client asked. */
  send(
    { reply, subject }: Pick<Message, "reply" | "subject">,
    { body, headers }: Reply,
    instead: (error: KvError) => Reply,
  ): void {
    if (reply === undefined) return;
    if (!this.#isAnswerable(reply)) {
      this.around.logger.debug("ignored a request's reply subject: not one to answer on", {
        subject,
        reply,
      });
      return;
    }
    try {
      this.around.bus.publish(reply, body, { headers });
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      const told = instead(error);
      this.around.bus.publish(reply, told.body, { headers: told.headers });
    }
  }

  #isAnswerable(reply: string): boolean {
    if (reply === "" || reply.startsWith("$") || reply.startsWith(this.#ownPrefix)) return false;
    return !unfit.test(reply) && Buffer.byteLength(reply) <= REPLY_SUBJECT_BYTES_MAX;
  }
}
