/**
 * Roles: what each kind of user may publish and subscribe to, and nats-server's accounts for them.
 *
 *   reader    gets, finds, counts and lists keys
 *   writer    a reader that also sets, deletes, patches, increments, touches and sends batches
 *   events    reads the stream of events, by JetStream consumers
 *   operator  looks at status, ring, services and logs, and repairs; sees no values
 *   node      is the store
 *
 * nats-server checks the subject of a message after its mapping, so a right to `kv.get.delhi` is
 * one to `kv.ring.*.get.>`. It does not check the reply subject: the answerer of a request can be
 * made to send its answer to any subject that the one who answers may publish to. Nodes answer to
 * inboxes only (actors/answer.ts, and the node's own rights below). JetStream may publish
 * everywhere in its account and answers where it is told to, so no role but node has a right to
 * its API there: event consumers are in an account of their own, whose requests the server carries
 * over with a reply subject of its own making.
 *
 * A role's inbox is `_INBOX.<user>.>`. The users are named after their roles here; another reader
 * is another line with the same permissions and its own inbox.
 */
import type { NodeName, Position, ShardId } from "../ids.js";
import { checkStoreName, Names, singleKeyVerbs } from "./subjects.js";

export const roleNames = ["reader", "writer", "events", "operator", "node"] as const;
export type RoleName = (typeof roleNames)[number];

export interface Rights {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** Requests of a node's own; no values are in what they answer. */
const OPERATOR_NODE_VERBS = ["status", "repair", "repair-report", "refill"] as const;
const QUERY_VERBS = ["keys", "find", "count", "distinct", "aggregate", "explain"] as const;
const ANY = "*" as unknown;

/** The rights of every role, for users that are named after their roles. */
export function rolesOf(store: string): Readonly<Record<RoleName, Rights>> {
  const names = new Names(store);
  const reads = readRights(names);
  return {
    reader: rights("reader", reads),
    writer: rights("writer", [...reads, ...writeRights(names)]),
    events: rights("events", [
      ...ringRights(names),
      ...eventApi(names).map((subject) => inEventsAccount(store, subject)),
      acknowledgements(names),
    ]),
    operator: rights(
      "operator",
      [
        names.verb("status"),
        ...ringRights(names),
        ...OPERATOR_NODE_VERBS.map((verb) => names.node(ANY as NodeName, verb)),
        "$SRV.>",
      ],
      [names.nodeLogWildcard],
    ),
    node: rights(
      "node",
      [`${store}.>`, `$KV.${names.ringBucket}.>`, "$JS.API.>", "_INBOX.>", "_R_.>"],
      [`${store}.>`, "$SRV.>"],
    ),
  };
}

/** JetStream's API for the events account, as `apiPrefix` of nats.js has it. */
export function eventsApiPrefix(store: string): string {
  return `$JS.${store}.API`;
}

function rights(role: RoleName, publish: string[], subscribe: string[] = []): Rights {
  return { publish, subscribe: [...subscribe, `_INBOX.${role}.>`] };
}

function ringRights(names: Names): string[] {
  return [names.verb("ring"), names.verb("info")];
}

function readRights(names: Names): string[] {
  return [
    ...keyRights(names, "get"),
    // Not `batch`, in which writes may stand.
    names.shard(ANY as ShardId, "get"),
    ...QUERY_VERBS.map((verb) => names.verb(verb)),
    ...ringRights(names),
  ];
}

function writeRights(names: Names): string[] {
  const verbs = singleKeyVerbs.filter((verb) => verb !== "get");
  return [
    ...verbs.flatMap((verb) => keyRights(names, verb)),
    names.verb("batch"),
    names.shard(ANY as ShardId, "batch"),
  ];
}

/** All forms of a request about one key: packed, mapped, without a key, and not mapped. */
function keyRights(names: Names, verb: (typeof singleKeyVerbs)[number]): string[] {
  const position = ANY as Position;
  return [
    names.ring(position, verb),
    names.ring(position, verb, ">"),
    names.verb(verb),
    names.verbWildcard(verb),
  ];
}

/** What reading the stream of events takes, of JetStream's API. */
function eventApi(names: Names): string[] {
  const stream = names.eventsStream;
  return [
    `$JS.API.STREAM.INFO.${stream}`,
    `$JS.API.CONSUMER.CREATE.${stream}`,
    `$JS.API.CONSUMER.CREATE.${stream}.>`,
    `$JS.API.CONSUMER.INFO.${stream}.*`,
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.*`,
  ];
}

function acknowledgements(names: Names): string {
  return `$JS.ACK.${names.eventsStream}.>`;
}

/** An account has an API of its own below `$JS.API`, so the other one's needs another name. */
function inEventsAccount(store: string, subject: string): string {
  return subject.replace("$JS.API", eventsApiPrefix(store));
}

/** `accounts { … }` of nats.conf, with the block `mappings` in the account that has the store. */
export function accountsBlock(store: string, mappings: string): string {
  checkStoreName(store);
  const names = new Names(store);
  const roles = rolesOf(store);
  const users = (list: readonly RoleName[]): string =>
    list.map((role) => userBlock(role, roles[role])).join("\n");
  const shared = [...ringRights(names), ...eventApi(names), acknowledgements(names)];
  const isMany = (subject: string): boolean => subject.includes(".MSG.NEXT.");
  const exported = shared.map((subject) => {
    const many = isMany(subject) ? ", response_type: stream" : "";
    return `      { service: "${subject}"${many}, accounts: [EVENTS] }`;
  });
  const imported = shared.map((subject) => {
    const to = inEventsAccount(store, subject);
    const renamed = to === subject ? "" : `, to: "${to}"`;
    return `      { service: { account: RINGDEX, subject: "${subject}" }${renamed} }`;
  });
  return `\
accounts {
  # The store. Nothing else belongs here: whoever is given a right to JetStream's API in this
  # account can have it write anywhere, the logs and the ring among it.
  RINGDEX {
    jetstream: enabled

    users: [
${users(["node", "reader", "writer", "operator"])}
    ]

    # For event consumers, and nobody else.
    exports: [
${exported.join("\n")}
    ]

${indented(mappings.trimEnd(), 4)}
  }

  # Event consumers. They reach JetStream's API of the other account as ${eventsApiPrefix(store)}.
  EVENTS {
    users: [
${users(["events"])}
    ]

    imports: [
${imported.join("\n")}
    ]
  }

  # For nats-server's own events and figures.
  SYS {
    users: [ { user: sys, password: $RINGDEX_SYS_PASSWORD } ]
  }
}

system_account: SYS
`;
}

function userBlock(role: RoleName, { publish, subscribe }: Rights): string {
  const list = (subjects: readonly string[]): string =>
    subjects.map((subject) => `              "${subject}"`).join("\n");
  return `\
      {
        user: ${role}
        password: $RINGDEX_${role.toUpperCase()}_PASSWORD
        permissions {
          publish {
            allow: [
${list(publish)}
            ]
          }
          subscribe {
            allow: [
${list(subscribe)}
            ]
          }
        }
      }`;
}

function indented(text: string, width: number): string {
  return text
    .split("\n")
    .map((line) => (line === "" ? "" : " ".repeat(width) + line))
    .join("\n");
}
