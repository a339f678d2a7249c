/**
 * NatsBus: the Bus over core NATS, through nats.js.
 *
 * Reconnects for ever, with short waits. Requests made while the connection is down wait for it
 * (reply-mux.ts); other messages published then are dropped, which Bus allows: nats.js would
 * keep them only until its next attempt to reconnect, and with no limit. They are mostly replies,
 * and who waits for those has lost the connection too or will ask again.
 *
 * Handlers are called from inside nats.js's parser, where an exception would end the reading of the
 * connection without a sign. So each call is caught here and told to `onFailure`.
 */
import { createInbox, type ConnectionOptions, type NatsConnection } from "nats";
import { assert } from "../../protocol/assert.js";
import { KvError } from "../../protocol/errors.js";
import type {
  Bus,
  BusStatus,
  Message,
  PublishOptions,
  RequestOptions,
  ServerInfo,
  Subscription,
} from "../bus.js";
import type { Clock } from "../clock.js";
import { openConnection, reconnectForEver, type ConnectionParts } from "./connection.js";
import { ConnectionStatus, type ConnectionEvent, type Denial } from "./connection-status.js";
import { inboxPrefixIn } from "./inbox.js";
import { asNatsHeaders, natsMessage, type NatsMessage } from "./nats-message.js";
import { readInTurns } from "./read-in-turns.js";
import { checkSize, headerBytes, ReplyMux } from "./reply-mux.js";

/** One attempt to connect. */
const CONNECT_TIMEOUT_MS = 5_000;
/** A connection that answers none of two pings is given up. */
const PING_INTERVAL_MS = 5_000;
const PINGS_OUT_MAX = 2;
/** How long close() waits for what is still to be sent. */
const CLOSE_FLUSH_MS = 2_000;

const patient: ConnectionOptions = {
  ...reconnectForEver,
  // A server that comes back may refuse us until its own configuration is whole.
  ignoreAuthErrorAbort: true,
  timeout: CONNECT_TIMEOUT_MS,
  pingInterval: PING_INTERVAL_MS,
  maxPingOut: PINGS_OUT_MAX,
};

/**
 * What isSubjectKey rules out for being no part of a token. Not \s: a key may have a no-break
 * space, which is white space to Unicode and a letter like any other to NATS.
 */
const unfitForSubject = /[\0-\u0020\u007f]/;

export interface NatsBusOptions extends Omit<ConnectionParts, "options"> {
  readonly clock: Clock;
  /** It may have much to read, and others of this process must not wait for it. Default false. */
  readonly readsInTurns?: boolean;
  /** What a handler threw, or why a subscription ended unasked: a bug, or a permission missing. */
  readonly onFailure: (error: unknown) => void;
  /** What the server says outside of any reply. Default: nothing is done. */
  readonly onServerError?: (error: Error) => void;
}

/** Rejects as openConnection does. */
export async function connectBus(options: NatsBusOptions): Promise<NatsBus> {
  return new NatsBus(await openConnection({ ...options, options: patient }), options);
}

export class NatsBus implements Bus {
  readonly #status: ConnectionStatus;
  readonly #mux: ReplyMux;
  readonly #onFailure: (error: unknown) => void;
  readonly #clock: Clock;
  /** As of the last INFO. */
  #server: ServerInfo;

  constructor(
    /** For what nats.js does beyond the Bus, such as object stores. */
    readonly connection: NatsConnection,
    options: Pick<NatsBusOptions, "clock" | "readsInTurns" | "onFailure" | "onServerError">,
  ) {
    this.#onFailure = options.onFailure;
    this.#clock = options.clock;
    this.#status = new ConnectionStatus(connection, options.onServerError);
    this.#mux = new ReplyMux(connection, this.#status, options.clock);
    this.#server = serverInfo(connection) ?? unknownServer;
    const inTurns = options.readsInTurns ?? false;
    if (inTurns) readInTurns(connection, options.clock);
    this.#status.listen((status) => {
      if (status !== "connected") return;
      this.#server = serverInfo(connection) ?? this.#server;
      if (inTurns) readInTurns(connection, options.clock);
    });
  }

  publish(subject: string, data: Uint8Array, options: PublishOptions = {}): void {
    assertSubject(subject);
    const headers = headerBytes(options.headers);
    checkSize(this.connection, subject, data, headers);
    if (this.#status.current !== "connected") return;
    const natsOptions = {
      ...(options.reply === undefined ? {} : { reply: options.reply }),
      ...(headers === undefined ? {} : { headers: asNatsHeaders(headers) }),
    };
    this.connection.publish(subject, data, natsOptions);
  }

  subscribe(
    subject: string,
    queue: string | undefined,
    handler: (message: NatsMessage) => void,
  ): Subscription {
    assertSubject(subject);
    const subscription = this.connection.subscribe(subject, {
      ...(queue === undefined ? {} : { queue }),
      callback: (error, message) => {
        if (error !== null) return this.#fail(error);
        try {
          handler(natsMessage(message));
        } catch (thrown) {
          this.#fail(thrown);
        }
      },
    });
    return {
      unsubscribe: () => subscription.unsubscribe(),
      drain: async () => {
        if (!this.connection.isClosed() && !subscription.isClosed()) await subscription.drain();
      },
    };
  }

  request(subject: string, data: Uint8Array, options: RequestOptions): Promise<Message> {
    assertSubject(subject);
    return this.#mux.request(subject, data, options);
  }

  /** Not from inside the parser: what `onFailure` throws in its turn must end the process. */
  #fail(error: unknown): void {
    queueMicrotask(() => this.#onFailure(error));
  }

  async flush(): Promise<void> {
    try {
      await this.connection.flush();
    } catch (cause) {
      throw new KvError("unavailable", "the connection was lost during a flush", {}, { cause });
    }
  }

  server(): ServerInfo {
    return this.#server;
  }

  /** A subject for replies, below what this user may read. */
  newInbox(): string {
    return createInbox(inboxPrefixIn(this.connection));
  }

  /** Called when the server says that this user must not publish or subscribe. Returns its end. */
  onDenied(listener: (denial: Denial) => void): () => void {
    return this.#status.onDenied(listener);
  }

  get status(): BusStatus {
    return this.#status.current;
  }

  onStatus(listener: (status: BusStatus) => void): () => void {
    return this.#status.listen(listener);
  }

  get event(): ConnectionEvent {
    return this.#status.event;
  }

  onEvent(listener: (event: ConnectionEvent) => void): () => void {
    return this.#status.onEvent(listener);
  }

  async close(): Promise<void> {
    if (this.#status.current === "connected") {
      const late = new Promise<void>((resolve) => void this.#clock.after(CLOSE_FLUSH_MS, resolve));
      // What cannot be sent any more is lost, as at any loss of a connection.
      await Promise.race([this.connection.flush().catch(() => undefined), late]);
    }
    await this.connection.close();
  }
}

function assertSubject(subject: string): void {
  assert(
    subject !== "" && !unfitForSubject.test(subject),
    `protocol/nats/subjects.ts builds subjects without white space: ${JSON.stringify(subject)}`,
  );
}

/** Of a connection that does not stand yet: what any server can be expected to take. */
const unknownServer: ServerInfo = {
  version: "",
  name: "",
  maxPayload: 1_048_576,
  clustered: false,
};

/** Undefined = the connection is closed, or on its way back: nats.js forgets the INFO then. */
function serverInfo(connection: NatsConnection): ServerInfo | undefined {
  const { info } = connection;
  if (info === undefined) return undefined;
  return {
    version: info.version,
    name: info.server_name,
    maxPayload: info.max_payload,
    clustered: info.cluster !== undefined && info.cluster !== "",
  };
}
