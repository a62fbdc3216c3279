import { BlockList, isIP } from "node:net";

/**
 * Which addresses are public: those of the global unicast space that no special-purpose registry of IANA (RFC 6890 and its
 * successors) takes out. An IPv6 address that carries an IPv4 address is as public as that one.
 */
const SPECIAL_IPV4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  // Carrier-grade NAT (RFC 6598).
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  // Link-local, where clouds serve their instances' credentials.
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  // 6to4 relays, deprecated (RFC 7526).
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  // Multicast, then reserved and broadcast.
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
];

const SPECIAL_IPV6: readonly (readonly [string, number])[] = [
  // Protocol assignments: Teredo, ORCHID, benchmarking.
  ["2001::", 23],
  ["2001:db8::", 32],
  ["3fff::", 20],
];

/** Everything else (loopback, unique local, link-local, site-local, multicast, discard, IPv4-compatible) lies outside of these. */
const ROUTED_IPV6: readonly (readonly [string, number])[] = [
  ["2000::", 3],
  // NAT64 (RFC 6052): a host in a network without IPv4 reaches the others so.
  ["64:ff9b::", 96],
  ["::ffff:0:0", 96],
];

const special = new BlockList();
const routed = new BlockList();
for (const [net, bits] of ROUTED_IPV6) routed.addSubnet(net, bits, "ipv6");
for (const [net, bits] of SPECIAL_IPV6) special.addSubnet(net, bits, "ipv6");
for (const [net, bits] of SPECIAL_IPV4) {
  special.addSubnet(net, bits, "ipv4");
  special.addSubnet(`::ffff:${net}`, 96 + bits, "ipv6");
  special.addSubnet(`64:ff9b::${net}`, 96 + bits, "ipv6");
  // 6to4 (RFC 3056) carries the IPv4 address after its first 16 bits.
  const [a = 0, b = 0, c = 0, d = 0] = net.split(".").map(Number);
  special.addSubnet(`2002:${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}::`, 16 + bits, "ipv6");
}

/** @param address as the resolver gives it: an IPv4 or IPv6 literal without brackets; anything else is not public */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !special.check(address, "ipv4");
    case 6:
      return routed.check(address, "ipv6") && !special.check(address, "ipv6");
    default:
      return false;
  }
}
