import { isIPv4, isIPv6 } from "node:net";

/** Addresses as far as they tell people apart: who has one IPv6 address has at least a /64 of them. */
export interface AddressKeys {
  /** The IPv4 address, or the /64 of an IPv6 address. */
  readonly single: string;
  /** The /24, or the /48: what is usually one organisation's. */
  readonly group: string;
}

const SINGLE_GROUPS = 4;
const ORGANISATION_GROUPS = 3;

/** @param address as sockets tell it; IPv4 in IPv6 form (`::ffff:…`) counts as IPv4 */
export function addressKeys(address: string): AddressKeys {
  const plain = address.replace(/%.*$/, "");
  const v4 = plain.toLowerCase().startsWith(MAPPED) ? plain.slice(MAPPED.length) : plain;
  if (isIPv4(v4)) return { single: v4, group: `${v4.slice(0, v4.lastIndexOf("."))}.0/24` };
  if (!isIPv6(plain)) return { single: plain, group: plain };
  const groups = expand(plain);
  return {
    single: `${groups.slice(0, SINGLE_GROUPS).join(":")}::/64`,
    group: `${groups.slice(0, ORGANISATION_GROUPS).join(":")}::/48`,
  };
}

const MAPPED = "::ffff:";
const GROUPS = 8;

/** The eight groups of an IPv6 address, lower-case hex without leading zeros; an embedded IPv4 tail does not reach the first six. */
function expand(address: string): string[] {
  const [head = "", tail] = address.toLowerCase().split("::");
  const split = (text: string): string[] => (text === "" ? [] : text.split(":").map((group) => group.replace(/^0+(?=.)/, "")));
  const left = split(head);
  if (tail === undefined) return left;
  const right = split(tail);
  const width = right.length + (tail.includes(".") ? 1 : 0);
  return [...left, ...Array.from({ length: Math.max(0, GROUPS - left.length - width) }, () => "0"), ...right];
}
