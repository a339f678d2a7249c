/**
 * Bus: subjects, queue groups, requests. In production core NATS (nats-bus.ts).
 *
 * Delivery: at most once. Messages of one publisher to one subscriber arrive in the order they
 * were published; nothing else is promised. A queue group gets each message once among all its
 * members, whichever subscription pattern of theirs it matched.
 *
 * Concurrency: handlers are called one after another and must not block; what a handler throws is
 * a bug and is reported through `onFailure`, never swallowed.
 */

/** Names in the case they are to have on the wire, with their values. */
export type HeaderList = readonly (readonly [name: string, value: string])[];

/** Received headers: lower-case name → its values in order. */
export type HeaderMap = ReadonlyMap<string, readonly string[]>;

export interface Message {
  readonly subject: string;
  /** Valid as long as the message is; not shared with later messages. */
  readonly data: Uint8Array;
  /** Where an answer is wanted, if anywhere. */
  readonly reply: string | undefined;
  /** Parsed at the first look; undefined = the message has none. */
  readonly headers: HeaderMap | undefined;
}

export interface PublishOptions {
  readonly reply?: string;
  readonly headers?: HeaderList;
}

export interface RequestOptions {
  readonly headers?: HeaderList;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export interface Subscription {
  /** No further message is handed over; what was buffered on our side is dropped. */
  unsubscribe(): void;
  /** Takes no new messages, hands over those already on their way, then resolves. */
  drain(): Promise<void>;
}

export type BusStatus = "connected" | "disconnected" | "closed";

export interface ServerInfo {
  readonly version: string;
  readonly name: string;
  readonly maxPayload: number;
  /** True if the server names a cluster, so that streams may be replicated. */
  readonly clustered: boolean;
}

export interface Bus {
  /** Throws KvError `too-large` above `server().maxPayload`. While disconnected, what is
   * published is kept, up to a limit, and sent later; or lost. */
  publish(subject: string, data: Uint8Array, options?: PublishOptions): void;
  /** `queue` undefined = every subscriber gets the message. */
  subscribe(
    subject: string,
    queue: string | undefined,
    handler: (message: Message) => void,
  ): Subscription;
  /**
   * One reply. Rejects with KvError `unavailable` if nobody listens (nothing was done), with
   * `in-doubt` if no answer came within the time or the connection went (it may have been done).
   * Replies that tell an error (Nats-Service-Error-Code) are returned like any other.
   */
  request(subject: string, data: Uint8Array, options: RequestOptions): Promise<Message>;
  /** Resolves when the server has processed all that was published and subscribed before. */
  flush(): Promise<void>;
  /** As of the last connection; before the first one what any server can be expected to take. */
  server(): ServerInfo;
  /** Called at each change; after "connected" all subscriptions stand again. Returns its end. */
  onStatus(listener: (status: BusStatus) => void): () => void;
  close(): Promise<void>;
}
