import { isIP } from "node:net";
import type { LookupAddress } from "node:dns";
import { multiaddr } from "@multiformats/multiaddr";
import { NetworkError } from "../../ports/network.ts";
import type { Names } from "../names/names.ts";
import { isPublicAddress } from "../names/public-address.ts";
import type { DialAddress } from "./addresses.ts";

export interface AddressRule {
  readonly names: Names;
  readonly isPrivateAllowed: boolean;
}

/**
 * What may be dialled of an address that a peer says is its own: IP addresses, which libp2p does not look up again, so that the
 * address that was checked is the one that is dialled (T52).
 * @throws NetworkError `forbidden_address`, `unreachable`, `timeout`; the resolver's error
 */
export async function checkedAddresses(
  { host, peerId }: DialAddress,
  { names, isPrivateAllowed }: AddressRule,
  signal: AbortSignal,
): Promise<DialAddress[]> {
  const [said, port] = host.getComponents();
  const name = said?.value ?? "";
  const found = isIP(name) === 0 ? (await names.given(name, signal)).filter(isOfFamily(said?.name)) : [literal(name)];
  const taken = isPrivateAllowed ? found : found.filter(({ address }) => isPublicAddress(address));
  if (found.length === 0) throw new NetworkError("unreachable", `${host.toString()}: the name has no address of that kind`);
  if (taken.length === 0) {
    const leads = found.map(({ address }) => address).join(", ");
    const message = `${host.toString()} leads to ${leads}, which is not public: it is not dialled unless private addresses are allowed`;
    throw new NetworkError("forbidden_address", message);
  }
  return taken.map(({ address, family }) => ({ host: multiaddr(`/ip${family}/${address}/tcp/${port?.value}`), peerId }));
}

function literal(address: string): LookupAddress {
  return { address, family: isIP(address) };
}

function isOfFamily(protocol: string | undefined): (found: LookupAddress) => boolean {
  const family = protocol === "dns4" ? 4 : protocol === "dns6" ? 6 : undefined;
  return (found) => family === undefined || found.family === family;
}
