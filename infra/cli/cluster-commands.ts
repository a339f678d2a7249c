/**
 * Commands that run things: up, down, node start, nats-conf, nats-server.
 *
 * What they run is loaded by the command itself: each other command would load it for nothing.
 */
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { InvalidArgumentError, Option, type Command } from "commander";
import { POSITION_COUNT } from "../../protocol/limits.js";
import { natsConf } from "../../protocol/nats/nats-conf.js";
import { dataPaths } from "../main/server/data-folder.js";
import {
  credentialSettingNames,
  credentialsOf,
  settingsOf,
  settingsTable,
  type NodeSettings,
  type SettingName,
  type Settings,
} from "../settings/config.js";
import { addSettingOptions, settingFlagsOf, type CliContext } from "./context.js";
import { CommandFailed } from "./exit-codes.js";
import { programCall } from "./program-call.js";

/** This program's own file: what a supervisor starts its nodes with. */
const program = fileURLToPath(new URL("./ringdex.js", import.meta.url));

export function registerClusterCommands(root: Command, context: CliContext): void {
  registerUp(root, context);
  registerDown(root, context);
  registerNode(root, context);
  registerNatsConf(root, context);
  registerNatsServer(root, context);
}

function registerUp(root: Command, context: CliContext): void {
  const up = root
    .command("up")
    .description("start a cluster on this machine: a nats-server and its nodes")
    .option("--background", 'return when it serves; stop it with "ringdex down"')
    .option("--user <name>", "what clients of its nats-server must show; as --nats-user")
    .option("--password <text>", "the user's password; others on this machine may see it here")
    .option("--token <text>", "in place of user and password; others may see it here, too")
    .option("--insecure", "let a nats-server that others can reach know no password")
    // What --background starts: its output goes to a file.
    .addOption(new Option("--times").hideHelp())
    .addOption(new Option("--log-file <file>").hideHelp());
  addSettingOptions(
    up,
    settingsTable.map(({ name }) => name),
  );
  up.action(async (options: UpFlags) => {
    if (options.times === true) context.beginLinesWithTimes();
    if (options.logFile !== undefined) context.beginLogFile(options.logFile);
    const env = { ...context.env, ...secretsOf(options) };
    const settings = settingsOf(env, settingFlagsOf(up));
    const isOpenAllowed = options.insecure === true;
    const call = programCall(context.surroundings);
    const report = (line: string): void => context.stderr(`${line}\n`);
    const say = (line: string): void => {
      // Not waited for: what fails here is met again when the output ends.
      context.out(`${line}\n`).catch(() => undefined);
      if (options.times !== true && line.startsWith("ready "))
        report(hintOf(settings, call, options.background === true));
    };
    const { stopping } = context;
    if (options.background === true) {
      const flags = settingFlagsOf(up);
      const typed = settingsTable.flatMap(({ name, flag }) => {
        const text = flags[name];
        return text === undefined || flag === undefined ? [] : [`--${flag}`, text];
      });
      const command = {
        file: process.execPath,
        argumentList: [
          program,
          "up",
          "--times",
          "--log-file",
          dataPaths(settings.dataFolder).log,
          ...typed,
          ...(isOpenAllowed ? ["--insecure"] : []),
        ],
      };
      const { startInBackground } = await import("../main/server/background.js");
      await startInBackground({ settings, env, command, say, report, stopping });
      return;
    }
    const nodeCommand = { file: process.execPath, argumentList: [program, "node", "start"] };
    const parts = { settings, env, nodeCommand, stopping, isOpenAllowed };
    const { runSupervisor } = await import("../main/server/supervisor.js");
    await runSupervisor({ ...parts, say, report });
  });
}

interface UpFlags {
  readonly background?: boolean;
  readonly times?: boolean;
  readonly logFile?: string;
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
  readonly insecure?: true;
}

/** As variables: the processes that are started show their arguments to everybody, too. */
function secretsOf({ user, password, token }: UpFlags): NodeJS.ProcessEnv {
  return {
    ...(user === undefined ? {} : { RINGDEX_NATS_USER: user }),
    ...(password === undefined ? {} : { RINGDEX_NATS_PASSWORD: password }),
    ...(token === undefined ? {} : { RINGDEX_NATS_TOKEN: token }),
  };
}

/** What one can do now. Commands find the cluster of the default data folder by themselves. */
function hintOf(settings: Settings, call: string, isInBackground: boolean): string {
  const { dataFolder } = settings;
  const isDefault = resolve(dataFolder) === resolve(settingsOf({}).dataFolder);
  const data = isDefault ? "" : ` --data ${dataFolder}`;
  const secret = secretHintOf(settings);
  const told = isInBackground
    ? `it runs in the background: "${call} status${data}" shows it, "${call} down${data}" ends it`
    : `Ctrl-C stops it; in another shell: ${call} set greeting '"hello"'${data}`;
  return told + secret;
}

function secretHintOf({ natsUrl, natsPassword, natsToken }: Settings): string {
  if (natsUrl !== undefined || (natsPassword ?? natsToken) === undefined) return "";
  const names = "RINGDEX_NATS_USER and RINGDEX_NATS_PASSWORD";
  return `; commands need ${natsPassword === undefined ? "RINGDEX_NATS_TOKEN" : names}, too`;
}

function registerDown(root: Command, context: CliContext): void {
  const down = root.command("down").description("stop the cluster that uses a data folder");
  addSettingOptions(down, ["dataFolder"]);
  down.action(async () => {
    const { dataFolder } = context.settings(down);
    const { stopCluster } = await import("../main/server/background.js");
    const wasRunning = await stopCluster(dataFolder, (line) => context.stderr(`${line}\n`));
    await context.out(wasRunning ? "stopped\n" : `nothing runs on ${resolve(dataFolder)}\n`);
  });
}

const nodeSettingNames: readonly SettingName[] = [
  "natsUrl",
  ...credentialSettingNames,
  "store",
  "replicaCount",
  "logLevel",
  "syncInterval",
  "logOutput",
  "logBytesMax",
  "eventsBytesMax",
  "indexExclude",
];

interface NodeStartOptions {
  readonly name: string;
  readonly data: string;
  readonly clusterNodes: string;
  readonly endWithStdin?: true;
}

function registerNode(root: Command, context: CliContext): void {
  const group = root.command("node").description("nodes of a cluster");
  const start = group
    .command("start")
    .description('run one node, until SIGTERM ("up" starts these)')
    .requiredOption("--name <name>", "the node's name, which its data folder keeps")
    .requiredOption("--data <folder>", "the node's own folder")
    .requiredOption("--cluster-nodes <names>", "n1,n2,…: the nodes that a new ring is made of")
    .option("--end-with-stdin", "end when stdin does, too, as a supervisor wants it");
  addSettingOptions(start, nodeSettingNames);
  start.action(async (options: NodeStartOptions) => {
    const clusterNodes = options.clusterNodes.split(",").map((name) => name.trim());
    const settings = context.settings(start);
    const { natsUrl } = settings;
    if (natsUrl === undefined) {
      throw new CommandFailed("usage", "node start needs --nats-url or RINGDEX_NATS_URL");
    }
    const { name, data, endWithStdin } = options;
    const node: NodeSettings = {
      ...settings,
      name,
      endsWithStdin: endWithStdin === true,
      dataFolder: resolve(data),
      natsUrl,
      credentials: credentialsOf(settings),
      clusterNodes,
    };
    const { runNode } = await import("../main/node.js");
    const { EXIT_REFUSED } = await import("../main/server/node-process.js");
    const code = await runNode(node);
    // The node's log says why; the supervisor looks at the code only.
    if (code !== 0) context.exit(code === EXIT_REFUSED ? "usage" : "failed");
  });
}

interface NatsConfFlags {
  readonly positions: number;
  readonly jetstream: string;
  readonly roles?: true;
  readonly tls: string;
}

function registerNatsConf(root: Command, context: CliContext): void {
  const command = root
    .command("nats-conf")
    .description("print the nats-server configuration that a store wants")
    .option("--positions <count>", "positions of the ring", wholeNumber, POSITION_COUNT)
    .option("--jetstream <folder>", "where JetStream keeps its files", "./data/nats")
    .option("--roles", "with TLS, and a user for each role (docs/security.md)")
    .option("--tls <folder>", "with --roles: where server.pem and server-key.pem are", "./tls");
  addSettingOptions(command, ["store", "host", "port"]);
  command.action(async (options: NatsConfFlags) => {
    const { store, host, port } = context.settings(command);
    const { positions: positionCount, jetstream: dataFolder, roles, tls } = options;
    const rolesTlsFolder = roles === true ? tls : undefined;
    await context.out(natsConf({ store, positionCount, host, port, dataFolder, rolesTlsFolder }));
  });
}

function registerNatsServer(root: Command, context: CliContext): void {
  const command = root
    .command("nats-server")
    .description("print the path of the nats-server that up would start; build it if need be");
  addSettingOptions(command, ["natsServer"]);
  command.action(async () => {
    const { natsServer } = context.settings(command);
    const named = natsServer === undefined ? {} : { RINGDEX_NATS_SERVER: natsServer };
    const onProgress = (line: string): void => context.stderr(`${line}\n`);
    const { findNatsServer } = await import("../nats-server/nats-binary.js");
    const path = await findNatsServer({ env: { ...context.env, ...named }, onProgress });
    await context.out(`${path}\n`);
  });
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}
