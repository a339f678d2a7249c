/**
 * docs/operations.md says what the program says: settings, limits, reasons, exit codes, targets.
 */
import { expect } from "chai";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as applierCore from "../../actors/shard/apply/applier-core.js";
import { exitCodes } from "../../infra/cli/exit-codes.js";
import * as recordsFile from "../../infra/cli/records-file.js";
import * as caller from "../../infra/client/caller.js";
import * as session from "../../infra/client/session.js";
import * as events from "../../infra/events.js";
import * as logFile from "../../infra/files/log-file.js";
import * as logger from "../../infra/logger.js";
import * as logMaker from "../../infra/main/log-maker.js";
import * as keepRunning from "../../infra/main/server/keep-running.js";
import * as natsBinary from "../../infra/nats-server/nats-binary.js";
import * as config from "../../infra/settings/config.js";
import * as limits from "../../protocol/limits.js";
import { page, root, rowsUnder } from "./pages.js";

const operations = page("docs/operations.md");

/** Limits that stand beside what they limit, and that somebody who runs a store can meet. */
const otherLimits: Readonly<Record<string, unknown>> = {
  ...applierCore,
  ...recordsFile,
  ...caller,
  ...session,
  ...config,
  ...events,
  ...logger,
  ...logFile,
  ...keepRunning,
  ...logMaker,
};

describe("operations page", () => {
  it("has every setting as the table of settings has it, in its order", () => {
    const [head, ...rows] = rowsUnder(operations, "## Settings");
    expect(head).to.deep.equal(["variable", "flag", "unit", "default", "limit", "meaning"]);
    const expected = config.settingsTable.map((setting) => [
      code(setting.variable),
      setting.flag === undefined ? "none" : code(`--${setting.flag}`),
      setting.unit,
      setting.default === "" ? "none" : code(setting.default),
      setting.limit,
      setting.about,
    ]);
    expect(rows).to.deep.equal(expected);
  });

  it("has every limit of protocol/limits.ts, once, and no other value of it", () => {
    const found = limitRows().filter(([name = ""]) => uncode(name) in limits);
    const expected = Object.entries(limits).map(([name, value]) => [code(name), shown(value)]);
    const values = found.map(([name, value]) => [name, value]);
    expect(values).to.have.deep.members(expected);
    expect(values).to.have.lengthOf(expected.length);
  });

  it("has true values of all other limits that it names", () => {
    for (const [name = "", value] of limitRows()) {
      const known = (limits as Readonly<Record<string, unknown>>)[uncode(name)];
      const actual = known ?? otherLimits[uncode(name)];
      expect(typeof actual, name).to.equal("number");
      expect(value, name).to.equal(shown(actual as number));
    }
  });

  it("says of each limit what happens when it is reached", () => {
    for (const cells of limitRows()) {
      expect(cells, cells[0]).to.have.lengthOf(4);
      expect(cells[3], cells[0]).to.match(/\S/);
    }
  });

  it("says what to do for each reason a replica stops for", () => {
    const source = readFileSync(join(root, "actors/shard/state/stopped.ts"), "utf8");
    const reasons = [...source.matchAll(/\| "([a-z-]+)"/g)].map(([, reason = ""]) => code(reason));
    expect(reasons).to.include(code("log-shorter"));
    const [, ...rows] = rowsUnder(operations, "### A replica is stopped");
    expect(rows.map(([reason]) => reason)).to.have.members(reasons);
  });

  it("has the command line's exit codes", () => {
    const [, ...rows] = rowsUnder(operations, "## Exit codes");
    const expected = Object.values(exitCodes).map(({ code: number, about }) => [
      `${number}`,
      about,
    ]);
    expect(rows).to.deep.equal(expected);
  });

  it("names only targets that the Makefile has", () => {
    const makefile = readFileSync(join(root, "Makefile"), "utf8");
    const named = [...operations.text.matchAll(/`make ([a-z-]+)/g)].map(
      ([, target = ""]) => target,
    );
    expect(named).to.include("run");
    for (const target of named) expect(makefile, target).to.match(new RegExp(`^${target}:`, "m"));
  });

  it("names the versions of nats-server that are asked for", () => {
    expect(operations.text).to.contain(
      `nats-server ${natsBinary.NATS_SERVER_VERSION_MIN} or newer`,
    );
    expect(operations.text).to.contain(
      `else ${natsBinary.NATS_SERVER_VERSION_PINNED} built with Go`,
    );
  });
});

function limitRows(): string[][] {
  return rowsUnder(operations, "## Limits").filter(([name]) => name !== "name");
}

function code(text: string): string {
  return `\`${text}\``;
}

function uncode(text: string): string {
  return text.replaceAll("`", "");
}

function shown(value: number): string {
  return value.toLocaleString("en-US");
}
