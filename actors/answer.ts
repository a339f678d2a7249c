/**
 * Answer: sends a reply to whoever asked, and never fails because of where or how much.
 *
 * The reply subject is the client's own choice, and nats-server does not ask whether the client
 * may publish there; we may, nearly everywhere. So an answer must never be a message that means
 * something: nothing is sent to the store's own subjects (the reply would be taken for a request,
 * or for an entry of a log) nor to any that begins with `$` (JetStream's API, buckets, services).
 * The request itself is done, as one without a reply subject is.
 *
 * A reply that is larger than the server takes becomes a `too-large`.
 */
import type { Bus, Message } from "../infra/bus.js";
import type { Logger } from "../infra/logger.js";
import { KvError } from "../protocol/errors.js";
import { REPLY_SUBJECT_BYTES_MAX } from "../protocol/limits.js";
import type { Names } from "../protocol/nats/subjects.js";
import type { Reply } from "../protocol/reply/result.js";

/** White space, controls, wildcards: what the Bus takes for a bug, and what is no one subject. */
const unfit = /[\s\0-\u0020\u007f*>]/;

export class Answers {
  readonly #ownPrefix: string;

  constructor(
    names: Names,
    private readonly bus: Bus,
    private readonly logger: Logger,
  ) {
    this.#ownPrefix = `${names.store}.`;
  }

  /** `instead` makes the reply that tells an error, in the form in which the client asked. */
  send(
    { reply, subject }: Pick<Message, "reply" | "subject">,
    { body, headers }: Reply,
    instead: (error: KvError) => Reply,
  ): void {
    if (reply === undefined) return;
    if (!this.#isAnswerable(reply)) {
      this.logger.debug("ignored a request's reply subject: not one to answer on", {
        subject,
        reply,
      });
      return;
    }
    try {
      this.bus.publish(reply, body, { headers });
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      const told = instead(error);
      this.bus.publish(reply, told.body, { headers: told.headers });
    }
  }

  #isAnswerable(reply: string): boolean {
    if (reply === "" || reply.startsWith("$") || reply.startsWith(this.#ownPrefix)) return false;
    return !unfit.test(reply) && Buffer.byteLength(reply) <= REPLY_SUBJECT_BYTES_MAX;
  }
}
