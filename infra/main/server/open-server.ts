/**
 * A nats-server that others can reach: it gets a password, or is refused.
 *
 * Anybody who reaches a server without one may read and write all its data, and make streams.
 */
import type { ServerCredentials } from "../../../protocol/nats/nats-conf.js";
import type { Settings } from "../../settings/config.js";
import { Refusal } from "./data-folder.js";

/** What the server that `up` starts asks of its clients; undefined = nothing. Throws Refusal. */
export function serverCredentials(settings: Settings): ServerCredentials | undefined {
  const { natsUser: user, natsPassword: password, natsToken: token } = settings;
  if (settings.natsUrl !== undefined) return undefined;
  if (user !== undefined && password !== undefined) return { user, password };
  if (user !== undefined || password !== undefined) {
    const missing = user === undefined ? "--user (RINGDEX_NATS_USER)" : "RINGDEX_NATS_PASSWORD";
    throw new Refusal(`a user and a password belong together; ${missing} is missing`);
  }
  return token === undefined ? undefined : { token };
}

/** Throws Refusal for a server that `up` would open to others without a password. */
export function refuseOpenServer(settings: Settings, isAllowed: boolean): void {
  const { host, natsUrl } = settings;
  if (natsUrl !== undefined || isAllowed || isOnlyHere(host)) return;
  if (serverCredentials(settings) !== undefined) return;
  throw new Refusal(
    `at ${host} others could reach the store, and it would have no password: give ` +
      `RINGDEX_NATS_USER and RINGDEX_NATS_PASSWORD, or RINGDEX_NATS_TOKEN (up --user, ` +
      `--password, --token), or say --insecure if anybody may read and write`,
  );
}

/** True for an address that only programs on this machine reach. */
function isOnlyHere(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}
