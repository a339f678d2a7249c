/**
 * Incidents: what becomes of a bug, and of what is none.
 */
import { expect } from "chai";
import { asKvError } from "../../actors/incident.js";
import { KvError } from "../../protocol/errors.js";
import { NotedLogger } from "../support/noted-logger.js";

describe("incident", () => {
  it("is a bug, logged under the number that its caller gets", () => {
    const logger = new NotedLogger();
    const bug = new TypeError("secret of the inside");
    const error = asKvError(bug, logger);
    const { incident } = error.details;
    expect(error).to.include({ kind: "internal", cause: bug });
    expect(error.message).to.match(new RegExp(`incident ${String(incident)}$`));
    expect(error.message).to.not.contain("secret");
    expect(logger.lines.map(({ level, fields }) => [level, fields])).to.deep.equal([
      ["error", { incident, error: bug }],
    ]);
    expect(asKvError(bug, logger).details["incident"]).to.not.equal(incident);
  });

  it("is nothing that a client or the network caused", () => {
    const logger = new NotedLogger();
    const error = new KvError("conflict", "is at revision 3");
    expect(asKvError(error, logger)).to.equal(error);
    expect(logger.lines).to.deep.equal([]);
  });
});
