import type { Check, Status } from "../../api.ts";
import type { RegistryConfig } from "../../config.ts";
import { portOwner } from "../port-owner.ts";
import { bindProblem, httpAddress, listenAddress, type BindAddress } from "../ports.ts";
import type { ResolvedSettings } from "../settings/resolve.ts";
import { check, failed, ok, skipped, warning, type Finding } from "./check.ts";

export interface Running {
  readonly pid: number;
  readonly status: Status;
}

/**
 * Every address that the settings name: bound by our registry, free for it, or taken by somebody else. A running registry may
 * have been started with other settings than these: it need not listen where only a default says so.
 */
export function listeningChecks(
  config: RegistryConfig,
  origins: ResolvedSettings["origins"],
  running: Running | undefined,
): Promise<Check[]> {
  const { listen, http } = config;
  const addresses = [...listen.map(listenAddress), ...(http === null ? [] : [httpAddress(http)])];
  const checks = addresses.map((address) =>
    check(`port ${address.text}`, () => {
      const isDefault = origins[address.flag === "--http" ? "http" : "listen"].kind === "default";
      return isDefault && running !== undefined ? whereItListens(address, running) : checkPort(address, running);
    }),
  );
  if (http === null) checks.push(check("port https", () => skipped("the HTTPS interface is switched off (--http none)")));
  return Promise.all(checks);
}

function whereItListens(address: BindAddress, running: Running): Finding {
  const by = `this registry (process ${running.pid})`;
  return ok(isBound(address, running) ? `bound by ${by}` : `not asked for: ${by} listens on ${boundAddress(address, running)}`);
}

async function checkPort(address: BindAddress, running: Running | undefined): Promise<Finding> {
  const { port, flag, text } = address;
  if (flag === "--http" && running !== undefined && running.status.http === null) {
    return warning("the running registry was started without an HTTPS interface", `restart it with --http ${text}`);
  }
  if (port === 0)
    return running === undefined ? ok("takes a free port") : ok(`a free port was taken: ${boundAddress(address, running)}`);
  if (running !== undefined && isBound(address, running)) return ok(`bound by this registry (process ${running.pid})`);
  const problem = await bindProblem(address);
  const owner = portOwner(port);
  if (problem === "EADDRINUSE") {
    if (owner !== undefined && owner.pid === running?.pid) return ok(`bound by this registry (process ${owner.pid})`);
    const holder = owner?.name ?? "another process";
    if (running === undefined) return failed(`taken by ${holder}`, `free it, or name another with ${flag}`);
    const found = `this registry (process ${running.pid}) runs well on ${boundAddress(address, running)}`;
    const fix = `nothing has to be freed: before the next start, name another port than ${port} with ${flag}, or in the settings`;
    return warning(`${found}; these settings name a port that is taken by ${holder}`, fix);
  }
  if (problem !== undefined)
    return failed(`cannot be bound (${problem})`, `name an address and port of this machine with ${flag}`);
  if (running === undefined) return ok("free");
  const fix = `restart the registry, or give this command the settings that it was started with (${flag})`;
  return warning(`free: the running registry listens elsewhere, not on ${text}: ${boundAddress(address, running)}`, fix);
}

function isBound({ flag, port }: BindAddress, { status }: Running): boolean {
  if (flag === "--http") return status.http !== null && portOfUrl(status.http.url) === port;
  return status.listening.some((bound) => listenAddress(bound).port === port);
}

function boundAddress({ flag }: BindAddress, { status }: Running): string {
  return flag === "--http" ? (status.http?.url ?? "no HTTPS interface") : status.listening.join(", ") || "no libp2p address";
}

const HTTPS_PORT = 443;

function portOfUrl(url: string): number {
  const { port } = new URL(url);
  return port === "" ? HTTPS_PORT : Number(port);
}
