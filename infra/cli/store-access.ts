/**
 * How a command reaches the store: by our client for what the client can do, and by JSON requests
 * to a coordinator for the rest (batch as it stands in a file, ring, status).
 */
import { Command, InvalidArgumentError, Option } from "commander";
import { ErrorCode, NatsError, type NatsConnection } from "nats";
import { ATTEMPT_TIMEOUT_MS, REQUEST_TIMEOUT_MS } from "../../protocol/limits.js";
import { Names, type MultiKeyVerb } from "../../protocol/nats/subjects.js";
import type { HeaderList, Message } from "../bus.js";
import { Caller, IN_FLIGHT_MAX } from "../client/caller.js";
import { connect, type Ringdex } from "../client/client.js";
import { bodyOf } from "../client/json-reply.js";
import { sleep, systemChance, systemClock } from "../clock.js";
import { NatsBus } from "../nats/nats-bus.js";
import { credentialSettingNames, settingsTable } from "../settings/config.js";
import {
  addConnectionOptions,
  addSecretsHelp,
  shownUrl,
  type CliConnection,
  type CliContext,
} from "./context.js";
import { CommandFailed } from "./exit-codes.js";
import { JsonText } from "./json-text.js";
import { startCall } from "./program-call.js";

/** A cluster that is being started again has nodes by then; another kind of server never has. */
const STORE_WAIT_MS = 5_000;
const STORE_PAUSE_MS = 200;

export type Body = Readonly<Record<string, unknown>>;

interface AskOptions {
  readonly headers?: HeaderList;
  readonly isWrite?: boolean;
}

/** One JSON request to a coordinator, sent again as the client does. */
export type Ask = (verb: MultiKeyVerb, payload: Uint8Array, options?: AskOptions) => Promise<Body>;

/** The same; gives the reply's text as it came, in which no number is rounded. */
export type AskText = (
  verb: MultiKeyVerb,
  payload: Uint8Array,
  options?: AskOptions,
) => Promise<JsonText>;

export interface StoreAccess {
  readonly db: Ringdex<unknown>;
  readonly ask: Ask;
  readonly askText: AskText;
  readonly connection: NatsConnection;
  readonly names: Names;
  readonly url: string;
}

/**
 * The options that say which store and how to connect. Help shows those that people use; all of
 * them stand in `ringdex help connection`.
 */
export function addStoreOptions(command: Command): Command {
  addStoreOptionsTo(command);
  const shown = ["--server", "--store", "--data"];
  for (const option of command.options) {
    const isOwn = connectionFlags.has(option.long ?? "");
    if (isOwn) option.helpGroup("Which store:").hideHelp(!shown.includes(option.long ?? ""));
  }
  return command.addHelpText("after", '\nMore ways to connect: "ringdex help connection".');
}

/** The same before a command: `ringdex -s URL get a`. */
export function addStoreOptionsBefore(program: Command): void {
  const own = new Set(program.options);
  addStoreOptionsTo(program);
  for (const option of program.options) if (!own.has(option)) option.hideHelp();
  program.enablePositionalOptions().hook("preAction", (_, command) => {
    for (const option of program.options) {
      const name = option.attributeName();
      const isTyped = program.getOptionValueSource(name) === "cli";
      if (!isTyped || command.options.some((each) => each.attributeName() === name)) continue;
      const text = `${option.long} before the command says nothing to "${command.name()}"`;
      throw new CommandFailed(
        "usage",
        `${text}: leave it out (see "ringdex ${command.name()} --help")`,
      );
    }
  });
}

/** `ringdex help connection`: not a command that does anything, but a page of help. */
export function registerConnectionHelp(root: Command): void {
  const page = root
    .command("connection", { hidden: true })
    .description("How commands find the store and connect to it: options of all of them.")
    .usage("[options]: before the command or behind it");
  addSecretsHelp(addStoreOptionsTo(page), credentialSettingNames).action(() => page.outputHelp());
}

const connectionFlags: ReadonlySet<string> = new Set(
  addStoreOptionsTo(new Command()).options.map(({ long }) => long ?? ""),
);

function addStoreOptionsTo(command: Command): Command {
  addConnectionOptions(command);
  const server = new Option("-s, --server <url>", "the store's NATS server, as --nats-url");
  // Judged here as well: the error is to name the option that was typed.
  command.addOption(server.argParser(checkServer));
  command.on("option:server", (url: string) => {
    command.setOptionValueWithSource("natsUrl", url, "cli");
  });
  return command;
}

function checkServer(text: string): string {
  const setting = settingsTable.find(({ name }) => name === "natsUrl");
  if (setting === undefined || setting.parse(text) !== undefined) return text;
  throw new InvalidArgumentError(`It must be ${setting.limit}.`);
}

/** Connects as the command's options say; the context closes it. */
export async function openStore(context: CliContext, command: Command): Promise<StoreAccess> {
  const connected = await context.connect(command);
  await storeIsThere(connected, context);
  const { nats: connection, store, url, domain } = connected;
  const db = await connect<unknown>({
    connection,
    store,
    ...(domain === undefined ? {} : { jetstreamDomain: domain }),
  });
  const names = new Names(store);
  return { db, ...asksOver(connection, names), connection, names, url };
}

/**
 * Throws CommandFailed if no node of the store listens. All its nodes answer for its ring, so this
 * tells a store that is not there from a shard that is away for a moment, which is waited for.
 */
async function storeIsThere(
  { nats, store, url }: CliConnection,
  { stderr, surroundings }: Pick<CliContext, "stderr" | "surroundings">,
): Promise<void> {
  const subject = new Names(store).verb("ring");
  const where = shownUrl(url);
  const deadlineMs = systemClock.elapsedMs() + STORE_WAIT_MS;
  for (let isFirst = true; await nobodyListens(nats, subject); isFirst = false) {
    const what = `no node of store "${store}" answers`;
    const trying = `trying for ${STORE_WAIT_MS / 1_000} s`;
    if (isFirst) stderr(`nats-server is at ${where}, but ${what}; ${trying}\n`);
    if (systemClock.elapsedMs() >= deadlineMs) {
      throw new CommandFailed(
        "unavailable",
        `${what} at ${where}: is it another --store, or do its nodes not run? ` +
          `${startCall(surroundings)} starts them`,
      );
    }
    await sleep(systemClock, STORE_PAUSE_MS);
  }
}

async function nobodyListens(nats: NatsConnection, subject: string): Promise<boolean> {
  try {
    await nats.request(subject, new Uint8Array(0), { timeout: ATTEMPT_TIMEOUT_MS });
    return false;
  } catch (error) {
    // All else (slow, not allowed, the connection gone) is for the command itself to meet.
    return error instanceof NatsError && error.code === ErrorCode.NoResponders;
  }
}

function asksOver(connection: NatsConnection, names: Names): Pick<StoreAccess, "ask" | "askText"> {
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
  const send = <Value>(read: (reply: Message) => Value) => {
    return (verb: MultiKeyVerb, payload: Uint8Array, options: AskOptions = {}): Promise<Value> => {
      const { headers, isWrite = false } = options;
      const outgoing = { subject: names.verb(verb), payload, isWrite };
      return caller.call(headers === undefined ? outgoing : { ...outgoing, headers }, read, {});
    };
  };
  const textOf = (reply: Message): JsonText => {
    bodyOf(reply); // throws the error that it tells
    return JsonText.of(reply.data);
  };
  return { ask: send(bodyOf), askText: send(textOf) };
}
