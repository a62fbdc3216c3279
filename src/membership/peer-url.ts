import { publicKeyOfDid } from "../../protocols/lib/did.ts";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import { NodeError } from "../api.ts";

/** A registry that the operator named by the URL of its web face. */
export interface PeerUrl {
  /** Without a pin and without a slash at its end. */
  readonly url: string;
  /** DID that the registry there must have. */
  readonly pin: string | undefined;
}

/** Longest URL of a peer with its pin, in characters: it is kept as the key of a row. */
export const PEER_URL_LENGTH_MAX = 240;

/** Whether the address of a peer is meant as a URL; multiaddrs begin with a slash. */
export function isPeerUrl(address: string): boolean {
  return /^[a-z][a-z0-9+.-]*:/i.test(address);
}

/** @throws NodeError `invalid`, which says what was wrong */
export function parsePeerUrl(address: string): PeerUrl {
  const refuse = (why: string): NodeError => new NodeError("invalid", `"${address.slice(0, PEER_URL_LENGTH_MAX)}" ${why}`);
  if (address.length > PEER_URL_LENGTH_MAX)
    throw refuse(`… is longer than the ${PEER_URL_LENGTH_MAX} characters of a peer's URL`);
  if (!URL.canParse(address)) throw refuse("is not a URL");
  const { protocol, username, password, search, hash, origin, pathname } = new URL(address);
  if (protocol !== "https:") throw refuse("must begin with https://");
  if (username !== "" || password !== "") throw refuse("carries a user or password, which are not used here");
  if (search !== "") throw refuse("has a query, which is not used here");
  const pin = hash.slice(1);
  try {
    if (pin !== "") publicKeyOfDid(pin);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw refuse("has a pin that is not the DID of a registry (did:key:z6Mk…)");
  }
  return { url: origin + pathname.replace(/\/+$/, ""), pin: pin === "" ? undefined : pin };
}
