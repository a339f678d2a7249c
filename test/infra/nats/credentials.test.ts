/**
 * Credentials of every kind and TLS, from options and from settings, for the client, the bus of
 * the nodes and the command line; and what is said where they are wrong.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { nkeys } from "nats";
import { connect, KvError, type ConnectOptions } from "../../../infra/client/client.js";
import { systemClock } from "../../../infra/clock.js";
import { connectionCredentials, splitUrl } from "../../../infra/nats/credentials.js";
import { connectBus, type NatsBus } from "../../../infra/nats/nats-bus.js";
import {
  credentialsOf,
  credentialVariables,
  nodeArguments,
  settingsOf,
} from "../../../infra/settings/config.js";
import { makeCertificates } from "../../security/certificates.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { runProgram } from "../../support/run-program.js";

const program = fileURLToPath(new URL("../../../infra/cli/ringdex.js", import.meta.url));

const onFailure = (error: unknown): void => {
  throw error;
};

describe("credentials", function () {
  this.timeout(60_000);

  let folder: string;
  let server: TestServer | undefined;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-credentials-"));
    makeCertificates(join(folder, "tls"));
    makeCertificates(join(folder, "other-tls"));
  });

  afterEach(async () => {
    await server?.stop();
    server = undefined;
  });

  after(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  const file = (name: string): string => join(folder, name);

  const serve = async (config: string): Promise<TestServer> => {
    server = await startTestServer({ config, mapping: false });
    return server;
  };

  /** By the client, by a node's bus and by the command line's settings. */
  async function expectAll(
    url: string,
    options: ConnectOptions,
    env: NodeJS.ProcessEnv,
    wanted: "taken" | RegExp,
  ): Promise<void> {
    const settings = settingsOf({ RINGDEX_NATS_URL: url, ...env });
    const bus = connectBus({
      url: settings.natsUrl ?? "",
      credentials: credentialsOf(settings),
      name: "test",
      clock: systemClock,
      onFailure,
    });
    const client = connect({ servers: url, ...options });
    const results = await Promise.allSettled([bus, client]);
    // All that a store has to answer here.
    if (results[0].status === "fulfilled") answerRing(results[0].value);
    const { code, stderr } = await runProgram(process.execPath, [program, "ring"], {
      env: { RINGDEX_NATS_URL: url, ...env },
    });
    for (const result of results) {
      if (result.status === "fulfilled") await result.value.close();
    }
    if (wanted === "taken") {
      expect(results.map(({ status }) => status)).to.deep.equal(["fulfilled", "fulfilled"]);
      expect(stderr).to.equal("");
      expect(code).to.equal(0);
      return;
    }
    for (const result of results) {
      const error = result.status === "rejected" ? (result.reason as KvError) : undefined;
      expect(error).to.be.instanceOf(KvError);
      expect(error).to.include({ kind: "bad-request", retryable: false });
      expect(error?.message).to.match(wanted);
    }
    expect(code).to.equal(2);
    expect(stderr).to.match(wanted);
    for (const secret of ["s3cret", "wr0ng"]) expect(stderr).not.to.contain(secret);
  }

  const unknown = /Authorization Violation.*refused these credentials/i;

  it("are a user and password, and wrong ones are told and not tried again", async () => {
    const { url } = await serve("authorization { user: ann, password: s3cret }");
    const env = { RINGDEX_NATS_USER: "ann", RINGDEX_NATS_PASSWORD: "s3cret" };
    await expectAll(url, { user: "ann", pass: "s3cret" }, env, "taken");
    const wrong = { RINGDEX_NATS_USER: "ann", RINGDEX_NATS_PASSWORD: "wr0ng" };
    await expectAll(url, { user: "ann", pass: "wr0ng" }, wrong, unknown);
    await expectAll(url.replace("//", "//ann:s3cret@"), {}, {}, "taken");
    await expectAll(url.replace("//", "//ann:wr0ng@"), {}, {}, unknown);
    await expectAll(url, {}, {}, unknown);
  });

  it("are a token", async () => {
    const { url } = await serve("authorization { token: s3cret }");
    await expectAll(url, { token: "s3cret" }, { RINGDEX_NATS_TOKEN: "s3cret" }, "taken");
    await expectAll(url.replace("//", "//s3cret@"), {}, {}, "taken");
    await expectAll(url, { token: "wr0ng" }, { RINGDEX_NATS_TOKEN: "wr0ng" }, unknown);
  });

  it("are an nkey, by a file with its seed, which is read at each connection", async () => {
    const [known, other] = [nkeys.createUser(), nkeys.createUser()];
    const { url } = await serve(`authorization { users: [ { nkey: ${known.getPublicKey()} } ] }`);
    const [nkeyFile, otherFile] = [file("ann.nk"), file("other.nk")];
    writeFileSync(nkeyFile, `# ann\n${Buffer.from(known.getSeed()).toString()}\n`);
    writeFileSync(otherFile, other.getSeed());
    await expectAll(url, { nkeyFile }, { RINGDEX_NATS_NKEY: nkeyFile }, "taken");
    const wrong = { RINGDEX_NATS_NKEY: otherFile };
    await expectAll(url, { nkeyFile: otherFile }, wrong, unknown);
    writeFileSync(otherFile, known.getSeed());
    await expectAll(url, { nkeyFile: otherFile }, wrong, "taken");
  });

  it("are a creds file with a JWT that the server's operator has signed", async () => {
    const made = makeOperator();
    const { url } = await serve(made.config);
    const credsFile = file("ann.creds");
    writeFileSync(credsFile, made.creds());
    await expectAll(url, { credsFile }, { RINGDEX_NATS_CREDS: credsFile }, "taken");
    writeFileSync(credsFile, makeOperator().creds());
    await expectAll(url, { credsFile }, { RINGDEX_NATS_CREDS: credsFile }, unknown);
  });

  it("are checked against the CA named, and a server of another one is refused", async () => {
    const { port } = await serve(tlsConfig(""));
    const url = `tls://127.0.0.1:${port}`;
    const [ca, other] = [file("tls/ca.pem"), file("other-tls/ca.pem")];
    await expectAll(url, { tls: { caFile: ca } }, { RINGDEX_NATS_TLS_CA: ca }, "taken");
    const distrust = /server's certificate is not to be trusted: it must be signed by the CA/;
    await expectAll(url, { tls: { caFile: other } }, { RINGDEX_NATS_TLS_CA: other }, distrust);
    await expectAll(url, {}, {}, distrust);
  });

  it("are a certificate where the server asks for one", async () => {
    const { port } = await serve(tlsConfig(`ca_file: "${file("tls/ca.pem")}", verify: true`));
    const url = `tls://127.0.0.1:${port}`;
    const tls = {
      caFile: file("tls/ca.pem"),
      certFile: file("tls/client.pem"),
      keyFile: file("tls/client-key.pem"),
    };
    const env = {
      RINGDEX_NATS_TLS_CA: tls.caFile,
      RINGDEX_NATS_TLS_CERT: tls.certFile,
      RINGDEX_NATS_TLS_KEY: tls.keyFile,
    };
    await expectAll(url, { tls }, env, "taken");
    const bare = await connect({ servers: url, tls: { caFile: tls.caFile } }).catch(
      (error: unknown) => error,
    );
    expect(bare).to.be.instanceOf(KvError);
  });

  it("name the file that cannot be read, before anything is tried", () => {
    const missing = file("nowhere");
    writeFileSync(file("empty.nk"), "not a seed, but s3cret\n");
    for (const [given, reason] of [
      [{ nkeyFile: missing }, /cannot read the nkey file .*nowhere: there is no such file/],
      [{ credsFile: missing }, /cannot read the creds file .*nowhere/],
      [{ tlsCaFile: missing }, /cannot read the TLS file .*nowhere/],
      [{ nkeyFile: file("empty.nk") }, /the nkey file .*empty\.nk has no seed/],
      [{ user: "a", token: "s3cret" }, /only one kind of credentials; received user and token$/],
      [{ password: "s3cret" }, /a password needs a user/],
      [{ tlsCertFile: "a" }, /its key together/],
    ] as const) {
      expect(() => connectionCredentials(given)).to.throw(KvError, reason);
      expect(() => connectionCredentials(given)).not.to.throw("s3cret");
    }
  });

  it("in a URL become settings, and the URL is without them everywhere", () => {
    const settings = settingsOf({ RINGDEX_NATS_URL: "tls://ann:s3%40cret@host:1" });
    expect(settings).to.include({ natsUrl: "tls://host:1", natsUser: "ann" });
    expect(settings.natsPassword).to.equal("s3@cret");
    expect(splitUrl("nats://t0ken@a:1,nats://b:2")).to.deep.equal({
      url: "nats://a:1,nats://b:2",
      found: { token: "t0ken" },
    });
    expect(() => settingsOf({ RINGDEX_NATS_URL: "http://ann:s3cret@host" }))
      .to.throw(/RINGDEX_NATS_URL/)
      .with.property("message")
      .that.does.not.contain("s3cret");
  });

  it("go to a node by variables and not by arguments", () => {
    const asked = { RINGDEX_NATS_URL: "nats://ann:s3cret@h:1", RINGDEX_NATS_TLS_CA: "ca.pem" };
    const settings = settingsOf(asked);
    const own = { name: "n1", natsUrl: "nats://h:1", syncInterval: "always", clusterNodes: ["n1"] };
    const argumentList = nodeArguments({ ...settings, ...own });
    expect(argumentList.join(" ")).not.to.contain("s3cret");
    const again = settingsOf(credentialVariables(settings), { natsUrl: "nats://h:1" });
    expect(credentialsOf(again)).to.deep.equal(credentialsOf(settings));
  });

  function tlsConfig(more: string): string {
    const [certificate, key] = [file("tls/server.pem"), file("tls/server-key.pem")];
    return `tls { cert_file: "${certificate}", key_file: "${key}", ${more} }`;
  }
});

function answerRing(bus: NatsBus): void {
  const shard = { shard: "s1", log_id: "0123456789abcdef", nodes: ["n1"], positions: ["0-1023"] };
  const body = {
    store: "kv",
    epoch: 1,
    position_count: 1_024,
    shards: [{ ...shard, weight: 1 }],
    nodes: [{ node: "n1", weight: 1, zone: "" }],
  };
  bus.subscribe("kv.ring", undefined, ({ reply = "" }) => {
    bus.publish(reply, Buffer.from(JSON.stringify(body)));
  });
}

/** An operator with one account and one user, as `nsc` would make them. */
function makeOperator(): { readonly config: string; readonly creds: () => string } {
  const [operator, account, system, user] = [
    nkeys.createOperator(),
    nkeys.createAccount(),
    nkeys.createAccount(),
    nkeys.createUser(),
  ];
  type KeyPair = typeof operator;
  const encoded = (value: object): string =>
    Buffer.from(JSON.stringify(value)).toString("base64url");
  const jwt = (subject: KeyPair, issuer: KeyPair, nats: object): string => {
    const [sub, iss] = [subject.getPublicKey(), issuer.getPublicKey()];
    const claims = { jti: sub, iat: 1_700_000_000, iss, sub, name: sub, nats };
    const text = `${encoded({ typ: "JWT", alg: "ed25519-nkey" })}.${encoded(claims)}`;
    const signature = Buffer.from(issuer.sign(Buffer.from(text))).toString("base64url");
    return `${text}.${signature}`;
  };
  const any = { subs: -1, data: -1, payload: -1 };
  const limits = { ...any, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
  const accountJwt = jwt(account, operator, { type: "account", version: 2, limits });
  const systemJwt = jwt(system, operator, { type: "account", version: 2, limits });
  const config = [
    `operator: ${jwt(operator, operator, { type: "operator", version: 2 })}`,
    `system_account: ${system.getPublicKey()}`,
    "resolver: MEMORY",
    "resolver_preload {",
    `  ${account.getPublicKey()}: ${accountJwt}`,
    `  ${system.getPublicKey()}: ${systemJwt}`,
    "}",
  ].join("\n");
  const creds = (): string => {
    const userJwt = jwt(user, account, { type: "user", version: 2, ...any, pub: {}, sub: {} });
    const seed = Buffer.from(user.getSeed()).toString();
    return (
      `-----BEGIN NATS USER JWT-----\n${userJwt}\n------END NATS USER JWT------\n\n` +
      `-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`
    );
  };
  return { config, creds };
}
