/**
 * How a command reaches the store: by our client for what the client can do, and by JSON requests
 * to a coordinator for the rest (batch as it stands in a file, ring, status).
 */
import { Option, type Command } from "commander";
import type { NatsConnection } from "nats";
import { ATTEMPT_TIMEOUT_MS, REQUEST_TIMEOUT_MS } from "../../protocol/limits.js";
import { Names, type MultiKeyVerb } from "../../protocol/subjects.js";
import type { HeaderList } from "../bus.js";
import { Caller, IN_FLIGHT_MAX } from "../client/caller.js";
import { connect, type Ringdex } from "../client/client.js";
import { bodyOf } from "../client/json-reply.js";
import { systemChance, systemClock } from "../clock.js";
import { NatsBus } from "../nats-bus.js";
import { addConnectionOptions, type CliContext } from "./context.js";

export type Body = Readonly<Record<string, unknown>>;

/** One JSON request to a coordinator, sent again as the client does. */
export type Ask = (
  verb: MultiKeyVerb,
  payload: Uint8Array,
  options?: { readonly headers?: HeaderList; readonly isWrite?: boolean },
) => Promise<Body>;

export interface StoreAccess {
  readonly db: Ringdex<unknown>;
  readonly ask: Ask;
  readonly connection: NatsConnection;
  readonly names: Names;
  readonly url: string;
}

/** `--nats-url` (`-s`, `--server`) and `--store`. */
export function addStoreOptions(command: Command): Command {
  addConnectionOptions(command);
  command.addOption(new Option("-s, --server <url>", "the same as --nats-url"));
  command.on("option:server", (url: string) => {
    command.setOptionValueWithSource("natsUrl", url, "cli");
  });
  return command;
}

/** Connects as the command's options say; the context closes it. */
export async function openStore(context: CliContext, command: Command): Promise<StoreAccess> {
  const { nats: connection, store, url } = await context.connect(command);
  const db = await connect<unknown>({ connection, store });
  const names = new Names(store);
  return { db, ask: askOver(connection, names), connection, names, url };
}

function askOver(connection: NatsConnection, names: Names): Ask {
  // No handler of ours runs on this bus, so none can fail.
  const bus = new NatsBus(connection, { clock: systemClock, onFailure: () => undefined });
  const caller = new Caller({
    bus,
    clock: systemClock,
    chance: systemChance,
    timeoutMs: REQUEST_TIMEOUT_MS,
    attemptTimeoutMs: ATTEMPT_TIMEOUT_MS,
    inFlightMax: IN_FLIGHT_MAX,
  });
  return (verb, payload, { headers, isWrite = false } = {}) => {
    const outgoing = { subject: names.verb(verb), payload, isWrite };
    return caller.call(headers === undefined ? outgoing : { ...outgoing, headers }, bodyOf, {});
  };
}
