/**
 * Every limit has a name, here. docs/operations.md lists them; `kv.info` tells them to clients.
 *
 * Those that decide what an entry does (marked *logged*) are part of the log's genesis, so that
 * all replicas agree for good; what stands here is the value a new log gets.
 */

/** Places on the ring. Fixed when a store is created: the mapping in nats.conf has it too. */
export const POSITION_COUNT = 1_024;
/** Places on the ring: the most a store can be created with. */
export const POSITION_COUNT_MAX = 65_536;
/** Weight of a node or shard: whole numbers from 0 (nothing) to this. */
export const WEIGHT_MAX = 10_000;
/** Names of stores and nodes: characters. */
export const NAME_CHARS_MAX = 32;

/** Keys: UTF-8 bytes. */
export const KEY_BYTES_MAX = 1_024;
/** Subject mappings exist for keys of 1 … this many tokens; longer ones pass the coordinator. */
export const KEY_TOKENS_MAPPED_MAX = 8;

/** Values, as set and as a patch leaves them. *Logged.* */
export const VALUE_BYTES_MAX = 256 * 1_024;

/** Index: nesting of attributes. *Logged.* */
export const DEPTH_MAX = 8;
/** Index: entries of one value. *Logged.* */
export const INDEX_ENTRIES_MAX = 256;
/** Index: UTF-8 bytes of a path. *Logged.* */
export const PATH_BYTES_MAX = 512;
/** Index: bytes of a text or bytes value that stand in its index entry; the rest is re-checked. */
export const INDEX_TEXT_BYTES_MAX = 256;

/** Nesting that our decoders go into before it calls the input malformed. */
export const DECODE_DEPTH_MAX = 100;

/** Time to live: shortest. */
export const TTL_MIN_MS = 1_000;
/** Time to live: longest, 100 years; beyond it say `never`. */
export const TTL_MAX_MS = 100 * 365 * 24 * 3_600_000;

/** Request ids: bytes. */
export const REQUEST_ID_BYTES_MAX = 128;
/** How long a repeated request id gets the first outcome, in log time. Rule L4. */
export const REQUEST_WINDOW_MS = 60_000;
/** How far ahead of log time a UUIDv7 may be. Rule L4. */
export const REQUEST_AHEAD_MAX_MS = 10_000;
/** Revisions: six bytes, in entries and records. */
export const REVISION_MAX = 2 ** 48 - 1;
/** Outcome records a shard remembers. *Logged.* Rule L4. */
export const OUTCOMES_MAX = 4_194_304;

/** Operations in one `kv.batch`. */
export const BATCH_OPERATIONS_MAX = 1_000;
/** Bytes of an atomic batch: keys and values together. */
export const ATOMIC_BYTES_MAX = 512 * 1_024;

/** Operations in one log entry. */
export const ENTRY_OPERATIONS_MAX = 4_096;
/** Bytes after which an entry takes no further operation. */
export const ENTRY_BYTES_TARGET = 512 * 1_024;
/** Bytes of one entry: the target and one more operation or atomic batch of the largest size. */
export const ENTRY_BYTES_MAX = 1_024 * 1_024 - 4_096;

/** Bytes of any message: NATS's default `max_payload`. */
export const PAYLOAD_BYTES_MAX = 1_024 * 1_024;
/**
 * Bytes of a reply subject that we answer on. nats-server ends a connection that sends a line of
 * 4,096 bytes; a request may have a longer reply subject than its answer can.
 */
export const REPLY_SUBJECT_BYTES_MAX = 1_024;
/** Bytes of any reply we build; leaves room for headers. */
export const REPLY_BYTES_MAX = PAYLOAD_BYTES_MAX - 16 * 1_024;

/** Requests a replica's mailbox holds before it answers `overloaded`. */
export const MAILBOX_REQUESTS_MAX = 65_536;
/** Bytes of requests a replica's mailbox holds before it answers `overloaded`. */
export const MAILBOX_BYTES_MAX = 64 * 1_024 * 1_024;
/**
 * How long the oldest request in a mailbox may have waited before nothing more is taken. An attempt
 * has ATTEMPT_TIMEOUT_MS: a request that waits longer has been sent again already.
 */
export const MAILBOX_MS_MAX = 1_000;
/** How long requests may wait before a node reads them; with more it answers `overloaded`. */
export const QUEUE_MS_MAX = 500;
/** How often that is measured, while requests come. */
export const PULSE_MS = 100;
/** Requests a coordinator works on at once before it answers `overloaded`. */
export const COORDINATOR_REQUESTS_MAX = 16_384;
/** Bytes of requests a coordinator works on at once before it answers `overloaded`. */
export const COORDINATOR_BYTES_MAX = 64 * 1_024 * 1_024;

/** Repairs that a node carries out, one after another, before it answers `overloaded`. */
export const REPAIRS_MAX = 16;

/** Rows of a page of find or keys: default and largest. */
export const PAGE_ROWS_DEFAULT = 100;
export const PAGE_ROWS_MAX = 1_000;
/** Rows a query may look at without `"scan": true`, a shard. */
export const SCAN_ROWS_MAX = 1_000_000;
/** Conditions in one filter, values of `$in` counted. */
export const FILTER_CONDITIONS_MAX = 1_000;
/** How long a replica looks for a page's rows before it sends what it has, and counts at all. */
export const PAGE_MS_MAX = 1_000;
export const COUNT_MS_MAX = 8_000;
/** Queries a replica works on at once; further ones wait in its mailbox. */
export const QUERIES_MAX = 32;
/** Records a query reads at once: bounds its memory, at 256 KiB a value. */
export const QUERY_RECORDS_MAX = 128;
/** Views open at once in a replica, and how long one may stay open. */
export const VIEWS_MAX = 64;
export const VIEW_MS_MAX = 10_000;

/** How often a request may be forwarded between replicas and coordinators. Rule M4. */
export const HOPS_MAX = 2;

/** Records an applied entry deletes because they are due. Rule L6. */
export const EXPIRE_PER_ENTRY_MAX = 256;
/** A replica with due records and a quiet log proposes a barrier after this. Rule L6. */
export const BARRIER_QUIET_MS = 250;

/** Log: bytes, where the server has room. Rule L8. */
export const LOG_BYTES_MAX = 8 * 1_024 ** 3;
/** Log: bytes a pull may have outstanding. Rule L7. */
export const PULL_BYTES_MAX = 8 * 1_024 * 1_024;
/** Events: bytes kept. */
export const EVENTS_BYTES_MAX = 1_024 ** 3;
/** Entries the relay may be behind before their outcomes are forgotten, and events reset. */
export const RELAY_BEHIND_MAX = 1_000_000;

/** Entries behind a fresh probe: with more a replica stops serving, with fewer it starts again. */
export const LAG_SERVING_MAX = 256;
export const LAG_SERVING_AGAIN = 16;

/** How long a session read waits for its revision, and any request for a serving replica. */
export const SESSION_WAIT_MS = 2_000;
/** How long a coordinator or client waits for one attempt, and in all. */
export const ATTEMPT_TIMEOUT_MS = 2_000;
/** How much longer for each operation of a batch: sent again too early, it only adds to load. */
export const ATTEMPT_MS_PER_OPERATION = 4;
export const REQUEST_TIMEOUT_MS = 10_000;

/** Stores that one replica fills at once, and bytes of one part of its rows. */
export const SEED_SESSIONS_MAX = 2;
export const SEED_PART_BYTES = 512 * 1_024;
/** A replica drops a snapshot when no request for its next part came for so long. */
export const SEED_IDLE_MS = 30_000;
