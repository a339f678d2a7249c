/**
 * Fault plan: draws from a seed which faults happen, in which order and to which process. It does
 * not fix when each begins: in between, the run waits until the cluster is well again.
 *
 * Every kind comes once before any comes again, so a run of two minutes has all of them. Faults
 * take the processes in turn: the supervisor restarts a child that dies twice within a minute later
 * and later, and the run would wait most of the time.
 */
import type { SeededChance } from "../support/manual-clock.js";
import type { Direction } from "../support/tcp-proxy.js";

export type FaultKind =
  | "kill node"
  | "restart node"
  | "pause node"
  | "cut node"
  | "hold node"
  | "kill nats-server"
  | "pause nats-server"
  | "cut clients"
  | "hold clients";

export interface Fault {
  readonly kind: FaultKind;
  /** Of faults of a node. */
  readonly node?: string;
  /** Which way a held link delivers nothing. */
  readonly direction?: Direction;
  /** How long it lasts; 0 = it is over as soon as it has happened. */
  readonly lastsMs: number;
}

/** One fault, or two at once. */
export type Round = readonly Fault[];

const nodeKinds: readonly FaultKind[] = [
  "kill node",
  "restart node",
  "pause node",
  "cut node",
  "hold node",
];
const otherKinds: readonly FaultKind[] = [
  "kill nats-server",
  "pause nats-server",
  "cut clients",
  "hold clients",
];
export const faultKinds: readonly FaultKind[] = [...nodeKinds, ...otherKinds];
/** Once in so many rounds two happen at once. */
const PAIR_EACH = 4;
const LASTS_MIN_MS = 2_000;
const LASTS_MORE_MS = 4_000;
const momentary: readonly FaultKind[] = [
  "kill node",
  "restart node",
  "cut node",
  "kill nats-server",
  "cut clients",
];

/** Rounds without end: take as many as there is time for. */
export function* planFaults(chance: SeededChance, nodes: readonly string[]): Generator<Round> {
  const kinds = endless(chance, faultKinds);
  const victims = endless(chance, nodes);
  const take = (kind: FaultKind): Fault => {
    const lastsMs = momentary.includes(kind) ? 0 : LASTS_MIN_MS + chance.integer(LASTS_MORE_MS);
    if (!nodeKinds.includes(kind) && kind !== "hold clients") return { kind, lastsMs };
    const direction = chance.pick(["both", "to-server", "from-server"] as const);
    const isHold = kind === "hold node" || kind === "hold clients";
    return {
      kind,
      lastsMs,
      ...(nodeKinds.includes(kind) ? { node: victims.next().value } : {}),
      ...(isHold ? { direction } : {}),
    };
  };
  for (let round = 1; ; round += 1) {
    const first = take(kinds.next().value);
    if (round % PAIR_EACH !== 0) {
      yield [first];
      continue;
    }
    const second = take(chance.pick(otherThan(first.kind)));
    // A node that is dead cannot be paused as well.
    const isSame = first.node !== undefined && first.node === second.node;
    yield [first, isSame ? { ...second, node: victims.next().value } : second];
  }
}

/** Two nodes at once, or a node and what it talks to; never the same trouble twice. */
function otherThan(kind: FaultKind): readonly FaultKind[] {
  const isOfServer = kind.endsWith("nats-server");
  return faultKinds.filter((other) => {
    return other !== kind && !(isOfServer && other.endsWith("nats-server"));
  });
}

/** All of them in an order drawn by chance, then all again in another. */
function* endless<Item>(
  chance: SeededChance,
  items: readonly Item[],
): Generator<Item, never, undefined> {
  for (;;) {
    const left = [...items];
    while (left.length > 0) {
      const [item] = left.splice(chance.integer(left.length), 1);
      if (item !== undefined) yield item;
    }
  }
}

/** "pause node n2, hold clients (to-server)". */
export function describeRound(round: Round): string {
  const words = round.map(({ kind, node, direction }) => {
    const on = node === undefined ? "" : ` ${node}`;
    return `${kind}${on}${direction === undefined ? "" : ` (${direction})`}`;
  });
  return words.join(" + ");
}
