import { getThinWaistAddresses } from "@libp2p/utils";
import { multiaddr, type Multiaddr } from "@multiformats/multiaddr";
import { publicKeyOfPeerId } from "../../../protocols/lib/did.ts";
import { NetworkError } from "../../ports/network.ts";

/** An address taken apart: where to dial, and whom to expect there. */
export interface DialAddress {
  readonly host: Multiaddr;
  readonly peerId: string | undefined;
}

const HOSTS = new Set(["ip4", "ip6", "dns", "dns4", "dns6"]);
const PORT_MAX = 65_535;

/** Reads `/ip4|ip6|dns|dns4|dns6/HOST/tcp/PORT[/p2p/PEER]`. @throws NetworkError `address_invalid` */
export function parseAddress(text: string): DialAddress {
  const parts = components(text);
  const [host, port, peer] = parts;
  const fits = host !== undefined && HOSTS.has(host.name) && port?.name === "tcp" && parts.length <= 3;
  if (!fits || Number(port.value) > PORT_MAX || (peer !== undefined && !isPeer(peer))) {
    throw invalid(text, "TCP addresses such as /ip4/192.0.2.1/tcp/4001/p2p/12D3Koo… can be used");
  }
  return { host: multiaddr(`/${host.name}/${host.value}/tcp/${port.value}`), peerId: peer?.value };
}

/** What was announced, each with our peer id. @throws NetworkError `address_invalid` for what names somebody else */
export function announced(texts: readonly string[], self: string): string[] {
  return texts.map((text) => {
    const { host, peerId } = parseAddress(text);
    if (peerId !== undefined && peerId !== self)
      throw invalid(text, `it is announced as ours and names a peer other than ${self}`);
    return withPeer(host.toString(), self);
  });
}

/** Where others can dial what is bound: a wildcard becomes the machine's addresses; the loopback comes last. */
export function dialable(bound: readonly string[], self: string): string[] {
  const all = bound.flatMap((text) => getThinWaistAddresses(multiaddr(text)).map(String)).filter((text) => !isLinkLocal(text));
  const unique = [...new Set(all)];
  return [...unique.filter((text) => !isLoopback(text)), ...unique.filter(isLoopback)].map((text) => withPeer(text, self));
}

function withPeer(host: string, peerId: string): string {
  return `${host}/p2p/${peerId}`;
}

/** A resolved port in place of the 0 that was asked for. */
export function withPort(address: Multiaddr, port: string): string {
  const [host] = address.getComponents();
  return `/${host?.name}/${host?.value}/tcp/${port}`;
}

export function portOf(address: Multiaddr): string {
  return address.getComponents().find((each) => each.name === "tcp")?.value ?? "0";
}

function components(text: string): { readonly name: string; readonly value?: string }[] {
  try {
    return multiaddr(text).getComponents();
  } catch (cause) {
    throw invalid(text, (cause as Error).message);
  }
}

function isPeer(part: { readonly name: string; readonly value?: string }): boolean {
  if (part.name !== "p2p" || part.value === undefined) return false;
  try {
    return publicKeyOfPeerId(part.value).length > 0;
  } catch {
    return false;
  }
}

function isLoopback(address: string): boolean {
  return address.startsWith("/ip4/127.") || address.startsWith("/ip6/::1/");
}

/** Such an address means something else on every machine and cannot be dialled without a zone. */
function isLinkLocal(address: string): boolean {
  return /^\/ip6\/fe[89ab]/.test(address) || address.startsWith("/ip4/169.254.");
}

function invalid(text: string, why: string): NetworkError {
  return new NetworkError("address_invalid", `the address "${text.slice(0, 200)}" cannot be used: ${why}`);
}
