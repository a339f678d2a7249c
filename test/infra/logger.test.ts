/**
 * Logger: the lines of its file, and what it publishes.
 */
import { expect } from "chai";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createLogger,
  LOG_PUBLISHED_BYTES_MAX,
  LOG_PUBLISHED_PER_SECOND_MAX,
} from "../../infra/logger.js";

describe("logger", () => {
  let folder: string;
  let file: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "ringdex-logger-"));
    file = join(folder, "logs", "n1.log");
  });

  afterEach(() => rm(folder, { recursive: true }));

  it("writes a JSON object a line, its head first and not to be overwritten", async () => {
    const logger = createLogger({ node: "n1", file, level: "debug" });
    logger.info("the replica serves", { shard: "s1", sequence: 7n, level: "mine", node: "n9" });
    logger.debug("a message");
    await logger.close();
    const [first, second] = await linesOf(file);
    expect(Object.keys(first ?? {}).slice(0, 4)).to.deep.equal([
      "time",
      "level",
      "node",
      "message",
    ]);
    const head = { level: "info", node: "n1", message: "the replica serves" };
    expect(first).to.include({ ...head, shard: "s1", sequence: "7" });
    expect(first?.["time"]).to.match(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(second).to.include({ level: "debug", message: "a message" });
  });

  it("writes the same lines to stdout, alone or beside the file", async () => {
    for (const output of ["stdout", "both"] as const) {
      const printed: string[] = [];
      const print = (line: string): void => void printed.push(line);
      const logger = createLogger({ node: "n1", file, level: "info", output, print });
      logger.info("the replica serves", { shard: "s1" });
      await logger.close();
      const lines = printed.map((line) => JSON.parse(line) as object);
      expect(lines).to.have.length(1);
      expect(lines[0]).to.include({ level: "info", node: "n1", shard: "s1" });
      if (output === "both") expect(await linesOf(file)).to.deep.equal(lines);
      else expect(await linesOf(file).catch(() => "no file")).to.equal("no file");
    }
  });

  it("leaves out what is below its level, and what comes after close", async () => {
    const logger = createLogger({ node: "n1", file, level: "info" });
    logger.debug("left out");
    logger.error("kept");
    await logger.close();
    logger.error("too late");
    await logger.close();
    expect((await linesOf(file)).map((line) => line["message"])).to.deep.equal(["kept"]);
  });

  it("tells of an Error its name, message, stack, cause and data", async () => {
    const logger = createLogger({ node: "n1", file, level: "info" });
    const error = Object.assign(new TypeError("outer", { cause: new Error("inner") }), { code: 7 });
    logger.error("failed", { error });
    await logger.close();
    const [line] = await linesOf(file);
    const told = line?.["error"] as Record<string, unknown>;
    expect(told).to.include({ name: "TypeError", message: "outer", code: 7 });
    expect(told["stack"]).to.include("logger.test");
    expect(told["cause"]).to.include({ name: "Error", message: "inner" });
  });

  it("keeps the line when its fields cannot be written", async () => {
    const logger = createLogger({ node: "n1", file, level: "info" });
    const circle: Record<string, unknown> = {};
    circle["self"] = circle;
    const error = new Error("its own cause");
    error.cause = error;
    logger.info("a circle", { circle });
    logger.info("a circle of causes", { error });
    await logger.close();
    const lines = await linesOf(file);
    expect(lines.map((line) => line["message"])).to.deep.equal(["a circle", "a circle of causes"]);
    for (const line of lines) expect(line).to.have.property("fields_unreadable");
  });

  it("publishes each line from info upwards, with its level", async () => {
    const published: [string, string][] = [];
    const publish = (level: string, line: string): void => void published.push([level, line]);
    const logger = createLogger({ node: "n1", file, level: "debug", publish });
    logger.info("one");
    logger.debug("not this");
    logger.error("two");
    await logger.close();
    expect(published.map(([level]) => level)).to.deep.equal(["info", "error"]);
    const lines = (await linesOf(file)).filter((line) => line["level"] !== "debug");
    expect(published.map(([, line]) => JSON.parse(line) as unknown)).to.deep.equal(lines);
  });

  it("goes on when publish throws or logs, and says later how many lines were lost", async () => {
    const published: string[] = [];
    let isBroken = true;
    const logger = createLogger({
      node: "n1",
      file,
      level: "info",
      publish(_level, line) {
        logger.error("publish logs");
        if (isBroken) throw new Error("no connection");
        published.push(line);
      },
    });
    logger.info("one");
    isBroken = false;
    logger.info("two");
    await logger.close();
    const messages = (await linesOf(file)).map((line) => line["message"]);
    expect(messages).to.have.members(["one", "publish logs", "two", "publish logs"]);
    const told = published.map((line) => JSON.parse(line) as Line);
    expect(told).to.have.length(1);
    expect(told[0]).to.include({ message: "two", lines_dropped: 1 });
  });

  it("publishes so many lines a second, and shortens long ones", async () => {
    const published: string[] = [];
    const publish = (_level: string, line: string): void => void published.push(line);
    const logger = createLogger({ node: "n1", file, level: "info", publish });
    logger.info("long", { text: "x".repeat(LOG_PUBLISHED_BYTES_MAX) });
    for (let index = 0; index < 300; index += 1) logger.info("storm", { index });
    await logger.close();
    expect(published.length).to.be.within(1, 2 * LOG_PUBLISHED_PER_SECOND_MAX);
    expect(JSON.parse(published[0] ?? "")).to.include({ message: "long", shortened: true });
    expect(await linesOf(file)).to.have.length(301);
  });
});

type Line = Record<string, unknown>;

async function linesOf(file: string): Promise<Line[]> {
  const text = await readFile(file, "utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);
}
