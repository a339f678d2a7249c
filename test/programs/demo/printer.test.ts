/**
 * What the demo prints where there is no terminal: lines that align, and failed checks.
 */
import { expect } from "chai";
import { count, milliseconds, perSecond, Printer } from "./printer.js";

describe("demo's printer", () => {
  let text: string;
  let nowMs: number;
  let printer: Printer;
  beforeEach(() => {
    text = "";
    nowMs = 0;
    const screen = { isTerminal: false, write: (more: string) => void (text += more) };
    printer = new Printer(screen, () => nowMs);
  });

  it("prints a line a step, its time in front, and what it adds below", async () => {
    await printer.step("load", async (step) => {
      step.note("two copies");
      step.check(true, "nothing to say");
      nowMs += 12_345;
      return "10 cities";
    });
    await printer.step("conditional write", async () => "refused");
    expect(text.split("\n")).to.deep.equal([
      " 12.35 s  load                  10 cities",
      "            two copies",
      "  0.00 s  conditional write     refused",
      "",
    ]);
    expect(printer.failedCount).to.equal(0);
  });

  it("marks and counts checks that do not hold, and goes on", async () => {
    await printer.step("gets", async (step) => {
      step.check(false, "3 of 10 differ");
      step.check(nowMs === 0, "never");
      return "10";
    });
    await printer.step("delete", async () => "gone");
    expect(text).to.match(/gets +10\n +FAILED: 3 of 10 differ\n.*delete/);
    expect(text).not.to.include("never");
    expect(printer.failedCount).to.equal(1);
  });

  it("marks a step that throws, counts it, and throws on", async () => {
    const failing = printer.step("start", () => Promise.reject(new Error("no server")));
    expect(await failing.catch((error: Error) => error.message)).to.equal("no server");
    expect(text).to.match(/start +FAILED: no server\n$/);
    expect(printer.failedCount).to.equal(1);
  });

  it("shows progress as a line a tenth, with the rate", async () => {
    await printer.step("load", async (step) => {
      const progress = step.progress(2_000, "cities");
      for (let done = 50; done <= 2_000; done += 50) {
        nowMs += 10;
        progress.update(done);
      }
      progress.stop();
      return "done";
    });
    const lines = text.split("\n").filter((line) => line.includes(" of 2,000 cities"));
    expect(lines).to.have.length(10);
    expect(lines[0]?.trim()).to.equal("200 of 2,000 cities, 5,000/s");
    expect(lines.at(-1)?.trim()).to.equal("2,000 of 2,000 cities, 5,000/s");
  });

  it("says nothing more when it was ended in the middle of a step", async () => {
    const loading = printer.step("load", async (step) => {
      const cities = step.progress(10, "cities");
      cities.update(5);
      printer.end("SIGINT: stopping");
      cities.update(10);
      cities.stop();
      step.check(false, "half of them");
      throw new Error("the connection is closed");
    });
    expect(await loading.catch((error: Error) => error.message)).to.contain("closed");
    printer.line("more");
    expect(text).to.match(/^ +5 of 10 cities, –\nSIGINT: stopping\n$/);
  });

  it("ends with a summary in two columns", () => {
    printer.summarize("gets", "8,000/s");
    printer.summarize("longest gap", "98 ms");
    printer.printSummary();
    expect(text).to.equal("\nsummary\ngets         8,000/s\nlongest gap  98 ms\n");
  });

  it("writes numbers for people", () => {
    expect(count(1_234_567)).to.equal("1,234,567");
    expect(perSecond(500, 250)).to.equal("2,000/s");
    expect(perSecond(1, 0)).to.equal("–");
    expect([milliseconds(1.26), milliseconds(1_234.5)]).to.deep.equal(["1.3 ms", "1,235 ms"]);
  });
});
