/**
 * The command line in a test: commands run as typed, in this process, against a fake store on a
 * real nats-server.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { runCli } from "../../../infra/cli/program.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { FakeStore } from "../client/fake-store.js";

export interface Run {
  readonly code: number;
  readonly out: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: string | Uint8Array | Readable;
  /** A terminal of this width. */
  readonly columns?: number;
  readonly stopping?: AbortSignal;
  readonly onOut?: (all: string) => void;
}

/** The server is one for all tests of the describe; store and folder are new for each. */
export interface CommandLine {
  readonly server: TestServer;
  readonly store: FakeStore;
  readonly folder: string;
  readonly run: (argumentList: readonly string[], options?: RunOptions) => Promise<Run>;
}

/** To be called in a `describe`. */
export function useCommandLine(): CommandLine {
  const cli = { run } as { -readonly [Name in keyof CommandLine]: CommandLine[Name] };
  before(async () => {
    cli.server = await startTestServer();
  });
  after(() => cli.server.stop());
  beforeEach(async () => {
    cli.store = await FakeStore.start(cli.server.url);
    cli.folder = mkdtempSync(join(tmpdir(), "ringdex-cli-"));
  });
  afterEach(async () => {
    await cli.store.stop();
    rmSync(cli.folder, { recursive: true });
  });

  async function run(argumentList: readonly string[], options: RunOptions = {}): Promise<Run> {
    let [out, stderr] = ["", ""];
    const { stdin = "" } = options;
    await cli.store.connection.flush();
    const code = await runCli(argumentList, {
      env: { RINGDEX_NATS_URL: cli.server.url },
      stdin: stdin instanceof Readable ? stdin : Readable.from([Buffer.from(stdin as string)]),
      out: (text) => {
        out += Buffer.from(text as string).toString();
        options.onOut?.(out);
      },
      stderr: (text) => (stderr += text),
      isTerminal: options.columns !== undefined,
      columns: options.columns,
      stopping: options.stopping ?? new AbortController().signal,
    });
    return { code, out, stderr };
  }

  return cli;
}

export function ok(out: string): Run {
  return { code: 0, out, stderr: "" };
}
