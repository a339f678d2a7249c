/**
 * Answer: sends a reply to whoever asked, and never fails because of where or how much.
 *
 * The reply subject is the client's: one that is no subject, or that points back at the store's own
 * subjects (the reply would be taken for a request), gets nothing. A reply that is larger than the
 * server takes becomes a `too-large`.
 */
import type { Bus, Message } from "../infra/bus.js";
import type { Logger } from "../infra/logger.js";
import { KvError } from "../protocol/errors.js";
import type { Reply } from "../protocol/reply.js";
import type { Names } from "../protocol/subjects.js";

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
    if (reply === "" || unfit.test(reply) || reply.startsWith(this.#ownPrefix)) {
      this.logger.debug("a request's reply subject cannot be answered on", { subject, reply });
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
}
