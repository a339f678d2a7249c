/**
 * Load: reads a replica's state from its store, before any loop runs.
 *
 * Cost: reads the rows of positions, origins and outcomes, and one expiry row a position; not the
 * records.
 */
import type { Store, StoreRow } from "../../infra/store.js";
import type { LogId, Sequence } from "../../protocol/ids.js";
import {
  decodeAppliedRow,
  STORE_FORMAT,
  type AppliedRow,
} from "../../protocol/store/applied-row.js";
import { decodeOriginRow } from "../../protocol/store/origin-row.js";
import { decodeOutcomeRow } from "../../protocol/store/outcome-row.js";
import { decodePositionRow } from "../../protocol/store/position-row.js";
import {
  allOriginsRange,
  allPositionsRange,
  appliedKey,
  outcomeRange,
  parseOriginKey,
  parseOutcomeKey,
  parsePositionKey,
} from "../../protocol/store/store-keys.js";
import { firstExpiry } from "./apply/expiry.js";
import { fingerprint, isRemembered } from "./state/outcomes.js";
import { Ownership } from "./state/ownership.js";
import { PositionTable } from "./state/position-table.js";
import { ReplicaState } from "./state/replica-state.js";
import { ReplicaStopped } from "./state/stopped.js";

const ROWS_PER_READ = 256;
const SEQUENCE_MAX = (2 ** 48 - 1) as Sequence;

/**
 * It does not judge whether the store belongs to the log: applier.ts does, where it reads the log.
 * Throws DamagedError if rows are damaged, ReplicaStopped if a newer version has written them.
 */
export async function loadReplica(
  store: Store,
  logId: LogId,
  positionCount: number,
): Promise<ReplicaState> {
  const ownership = new Ownership(positionCount);
  const table = new PositionTable(positionCount);
  const state = new ReplicaState(logId, ownership, table);
  const [bytes] = await store.getMany([appliedKey]);
  if (bytes === undefined) return state;
  const row = decodeAppliedRow(bytes);
  checkFormat(row);
  state.decidedSequence = row.sequence;
  state.decidedLogTime = row.logTime;
  state.chain = row.chain;
  state.messageHash = row.messageHash;
  state.begin(row.genesis);
  await loadPositions(store, state);
  await loadOrigins(store, state);
  await loadOutcomes(store, state);
  return state;
}

function checkFormat({ format }: AppliedRow): void {
  if (format === STORE_FORMAT) return;
  const way =
    format > STORE_FORMAT
      ? "start the newer version that wrote it"
      : "export its records with the version that wrote it, and load them into a new data folder";
  const text = `the store has format ${format}, and this version reads ${STORE_FORMAT}: ${way}`;
  throw new ReplicaStopped("upgrade-needed", text);
}

async function loadPositions(store: Store, state: ReplicaState): Promise<void> {
  const { ownership, table } = state;
  await eachRow(store, { ...allPositionsRange() }, ({ key, value }) => {
    const position = parsePositionKey(key);
    const row = decodePositionRow(value);
    ownership.set(position, row.state, row.generation);
    table.setRevision(position, row.revision);
    table.setCounts(position, row.keys, row.bytes);
    table.setDigest(position, row.digest);
  });
  for (const position of ownership.owned()) {
    table.setDueFrom(position, await firstExpiry(store, position));
  }
}

async function loadOrigins(store: Store, state: ReplicaState): Promise<void> {
  await eachRow(store, allOriginsRange(), ({ key, value }) => {
    state.origins.set(parseOriginKey(key), decodeOriginRow(value));
  });
}

/** In the order of the log, so that it remembers the same requests as the applier before. */
async function loadOutcomes(store: Store, state: ReplicaState): Promise<void> {
  const range = outcomeRange(0 as Sequence, SEQUENCE_MAX);
  await eachRow(store, range, ({ key, value }) => {
    const sequence = parseOutcomeKey(key);
    const row = decodeOutcomeRow(value);
    state.chains.add(sequence, row.chain);
    state.rowTimes.add(sequence, row.logTime);
    if (!isRemembered(row.logTime, state.decidedLogTime)) return;
    for (const [index, { position, request }] of row.operations.entries()) {
      if (request === undefined) continue;
      state.outcomes.add(fingerprint(position, request), { sequence, index }, row.logTime);
    }
  });
}

async function eachRow(
  store: Store,
  range: { from: Uint8Array; to: Uint8Array },
  visit: (row: StoreRow) => void,
): Promise<void> {
  const iterator = store.iterate(range);
  try {
    for (;;) {
      const rows = await iterator.next(ROWS_PER_READ);
      if (rows.length === 0) return;
      for (const row of rows) visit(row);
    }
  } finally {
    await iterator.close();
  }
}
