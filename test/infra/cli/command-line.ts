/**
 * The command line in a test: commands run as typed, in this process, against a fake store on a
 * real nats-server.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { FakeStore } from "../client/fake-store.js";
import { runCommand, type Run, type RunOptions } from "./command-run.js";

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
    await cli.store.connection.flush();
    return runCommand(cli.server.url, argumentList, options);
  }

  return cli;
}
