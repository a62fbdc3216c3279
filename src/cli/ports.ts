import { once } from "node:events";
import { createServer } from "node:net";
import { multiaddr } from "@multiformats/multiaddr";
import { portOwner } from "./port-owner.ts";

export interface ListenRequest {
  /** Multiaddrs. */
  readonly listen: readonly string[];
  readonly isListenDefault: boolean;
  /** `HOST:PORT`; `null` for none. */
  readonly http: string | null;
  readonly isHttpDefault: boolean;
}

export interface ListenPlan {
  readonly listen: readonly string[];
  readonly http: string | null;
  /** Ports of defaults that were taken, and what is used instead. */
  readonly warnings: readonly string[];
}

/** A port that was asked for by name is taken, or its address is not of this machine. */
export class PortError extends Error {
  override readonly name = "PortError";
  readonly code: string;

  constructor(code: "address_in_use" | "address_not_available", message: string) {
    super(message);
    this.code = code;
  }
}

/** One address to bind, in its own spelling. */
export interface BindAddress {
  readonly text: string;
  readonly host: string;
  readonly port: number;
  readonly flag: "--listen" | "--http";
}

/**
 * Looks at every port before the node starts: a default that is taken becomes a free one, a named one is refused.
 * @throws PortError naming the owner where the system tells it
 */
export async function planListening(request: ListenRequest): Promise<ListenPlan> {
  const { listen, http, isListenDefault, isHttpDefault } = request;
  const warnings: string[] = [];
  const planned: BindAddress[] = [];
  const plan = async (address: BindAddress, isDefault: boolean): Promise<boolean> => {
    const problem = await planProblem(address, planned);
    if (problem === undefined) {
      planned.push(address);
      return true;
    }
    if (!isDefault || problem.code !== "address_in_use") throw problem;
    warnings.push(
      `the default port ${address.port} is taken${byOwner(address.port)}; a free one is used (name one with ${address.flag})`,
    );
    return false;
  };
  const addresses: string[] = [];
  for (const address of listen) {
    const asked = await plan(listenAddress(address), isListenDefault);
    addresses.push(asked ? address : address.replace(/\/tcp\/\d+$/, "/tcp/0"));
  }
  const asked = http === null || (await plan(httpAddress(http), isHttpDefault));
  return { listen: addresses, http: asked ? http : http.replace(/\d+$/, "0"), warnings };
}

/** @param text `/ip4|ip6/<address>/tcp/<port>` */
export function listenAddress(text: string): BindAddress {
  const [host, port] = multiaddr(text).getComponents();
  return { text, host: host?.value ?? "", port: Number(port?.value), flag: "--listen" };
}

/** @param text `HOST:PORT`, an IPv6 host in brackets */
export function httpAddress(text: string): BindAddress {
  const colon = text.lastIndexOf(":");
  const host = text.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  return { text, host, port: Number(text.slice(colon + 1)), flag: "--http" };
}

/** What keeps `address` from being bound: `EADDRINUSE`, another code of the system, or `undefined` for nothing. */
export async function bindProblem({ host, port }: BindAddress): Promise<string | undefined> {
  const probe = createServer();
  try {
    probe.listen({ host, port, exclusive: true });
    await once(probe, "listening");
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "unknown";
  } finally {
    if (probe.listening) await new Promise((resolve) => probe.close(resolve));
  }
}

async function planProblem(address: BindAddress, planned: readonly BindAddress[]): Promise<PortError | undefined> {
  const { text, port, flag } = address;
  if (port === 0) return undefined;
  const rival = planned.find((other) => other.port === port && overlaps(other.host, address.host));
  if (rival !== undefined) {
    return new PortError("address_in_use", `cannot listen on ${text}: ${rival.flag} ${rival.text} takes that port; name another`);
  }
  const problem = await bindProblem(address);
  if (problem === undefined) return undefined;
  if (problem === "EADDRINUSE") {
    const message = `cannot listen on ${text}: the port is taken${byOwner(port)}; free it or name another with ${flag}`;
    return new PortError("address_in_use", message);
  }
  if (problem === "EACCES") {
    const message = `cannot listen on ${text}: this user may not take port ${port}; name one from 1024 up with ${flag}`;
    return new PortError("address_not_available", message);
  }
  return new PortError(
    "address_not_available",
    `cannot listen on ${text} (${problem}); name an address of this machine with ${flag}`,
  );
}

const ANY_HOST = ["0.0.0.0", "::"];

function overlaps(one: string, other: string): boolean {
  return one === other || ANY_HOST.includes(one) || ANY_HOST.includes(other);
}

function byOwner(port: number): string {
  const owner = portOwner(port);
  return owner === undefined ? "" : ` by ${owner.name}`;
}
