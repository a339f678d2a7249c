/**
 * batch at the command line.
 */
import { expect } from "chai";
import type { Msg } from "nats";
import { errorBody, type Body } from "../client/fake-store.js";
import { useCommandLine } from "./command-line.js";

describe("batch command", function () {
  const cli = useCommandLine();

  const { run } = cli;

  describe("batch", () => {
    let payloads: string[];
    beforeEach(() => {
      payloads = [];
      answer("kv.batch", (message) => {
        payloads.push(message.string());
        const { ops } = message.json<{ ops: Body[] }>();
        return {
          outcomes: ops.map(({ key }) =>
            key === "bad" ? errorBody("conflict", 409) : { key, revision: 1, created: true },
          ),
        };
      });
    });

    it("sends operations one a line as one batch, their text as it stands", async () => {
      const stdin = '{"op":"set","key":"a","value":1.0}\n\n{"op":"del","key":"b"}\n';
      const { code, out } = await run(["batch", "--atomic"], { stdin });
      expect(code).to.equal(0);
      expect(payloads).to.deep.equal([
        '{"ops":[{"op":"set","key":"a","value":1.0},{"op":"del","key":"b"}],"atomic":true}',
      ]);
      expect(out).to.equal("a  1  created=true\nb  1  created=true\n");
    });

    it("sends a whole document as it is, over several lines too", async () => {
      const stdin = '{\n "ops": [{"op":"get","key":"a"}]\n}\n';
      await run(["batch", "-"], { stdin });
      expect(payloads).to.deep.equal([stdin]);
    });

    it("sends many lines as several batches, in order", async () => {
      const keys = Array.from({ length: 1_200 }, (_, index) => `k${index}`);
      const stdin = keys.map((key) => `{"op":"del","key":"${key}"}`).join("\n");
      const { out } = await run(["batch", "--json"], { stdin });
      const told = out
        .trimEnd()
        .split("\n")
        .map((line) => (JSON.parse(line) as Body)["key"]);
      expect(told).to.deep.equal(keys);
      expect(payloads).to.have.length(3);
    });

    it("ends with 7 if some were refused and with 3 if all were", async () => {
      const [good, bad] = ['{"op":"del","key":"a"}', '{"op":"del","key":"bad"}'];
      const some = await run(["batch"], { stdin: `${good}\n${bad}` });
      expect(some).to.include({ code: 7, out: "a  1  created=true\nconflict: fake conflict\n" });
      expect((await run(["batch"], { stdin: bad })).code).to.equal(3);
    });

    it("names the line that is no operation", async () => {
      const { code, stderr } = await run(["batch"], { stdin: '{"op":"del","key":"a"}\noops\n' });
      expect(code).to.equal(2);
      expect(stderr).to.match(/line 2 is not an operation/);
    });
  });

  function answer(subject: string, reply: (message: Msg) => unknown): void {
    cli.store.connection.subscribe(subject, {
      callback: (_, message) => message.respond(JSON.stringify(reply(message))),
    });
  }
});
