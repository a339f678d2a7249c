/**
 * Where a connection's replies come to.
 *
 * A user who must not read others' inboxes has a prefix of its own, which nats.js keeps among the
 * options of the connection, and which its own createInbox() does not look at.
 */
import type { ConnectionOptions, NatsConnection } from "nats";

/** Undefined = NATS's own, `_INBOX`. */
export function inboxPrefixIn(connection: NatsConnection): string | undefined {
  // nats.js's class has its options; the interface it is given out by does not name them.
  const { options } = connection as { readonly options?: ConnectionOptions };
  return options?.inboxPrefix;
}
