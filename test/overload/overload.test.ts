/**
 * A short form of `make overload`: how much is refused differs by machine, that nothing else goes
 * wrong does not.
 */
import { expect } from "chai";
import { overload } from "./overload.js";

describe("a store that is asked for more than it can do", function () {
  this.timeout(180_000);

  it("answers or refuses each request in time, loses nothing, and recovers", async () => {
    const lines: string[] = [];
    const problems = await overload({
      burst: 10_000,
      seconds: 2,
      measureMs: 1_500,
      // So little, because what runs beside it may begin and end meanwhile.
      recovered: 0.2,
      say: (line) => void lines.push(line),
    });
    expect(problems, lines.join("\n")).to.deep.equal([]);
  });
});
