/**
 * Certificates for one test: a CA, a server's certificate and a client's, by openssl on PATH.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";

/** Writes ca.pem, server.pem, client.pem, and each one's key as ….-key.pem. */
export function makeCertificates(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const request = "req -x509 -newkey rsa:2048 -nodes -days 2".split(" ");
  const sign = (name: string, ...options: string[]): void => {
    const files = ["-keyout", `${name}-key.pem`, "-out", `${name}.pem`];
    const argumentList = [...request, "-subj", `/CN=${name}`, ...options, ...files];
    execFileSync("openssl", argumentList, { cwd: folder, stdio: "pipe" });
  };
  const byCa = ["-CA", "ca.pem", "-CAkey", "ca-key.pem"];
  const leaf = [...byCa, "-addext", "basicConstraints=critical,CA:FALSE"];
  sign("ca");
  sign("server", ...leaf, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1");
  sign("client", ...leaf);
}
