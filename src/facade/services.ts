import type { FacadeContext } from "./context.ts";
import {
  ADDRESS_REQUESTS_BURST_SHARE,
  ADDRESSES_MAX,
  FAILED_PROOFS_BURST,
  FAILED_PROOFS_PER_MINUTE,
  STRANGER_GROUP_REQUESTS_BURST,
  STRANGER_GROUP_REQUESTS_PER_MINUTE,
  STRANGER_REQUESTS_BURST,
  STRANGER_REQUESTS_PER_MINUTE,
} from "./limits.ts";
import { Nonces } from "./nonces.ts";
import { PeerIdentities } from "./peer-identity.ts";
import { Rate } from "./rate.ts";

/** What admission remembers between requests. */
export interface Services {
  readonly context: FacadeContext;
  readonly identities: PeerIdentities;
  readonly registryNonces: Nonces;
  /** Of agents and of registries that introduce themselves: anybody can make as many names as they like. */
  readonly otherNonces: Nonces;
  readonly rates: AddressRates;
}

/** Limits by address: what comes before anybody has proved who they are. */
export interface AddressRates {
  readonly requests: Rate;
  readonly strangers: Rate;
  readonly strangerGroups: Rate;
  /** Proofs that did not hold. */
  readonly failures: Rate;
}

/** @throws StoreError when the nonces of before cannot be read */
export async function openServices(context: FacadeContext): Promise<Services> {
  const [registryNonces, otherNonces] = await Promise.all([
    Nonces.load(context, "registryNonces"),
    Nonces.load(context, "otherNonces"),
  ]);
  return { context, identities: new PeerIdentities(context.clock), registryNonces, otherNonces, rates: addressRates(context) };
}

function addressRates({ requestsPerAddressPerMinuteMax: perMinute }: FacadeContext): AddressRates {
  return {
    requests: new Rate(perMinute, Math.max(1, Math.floor(perMinute * ADDRESS_REQUESTS_BURST_SHARE)), ADDRESSES_MAX),
    strangers: new Rate(STRANGER_REQUESTS_PER_MINUTE, STRANGER_REQUESTS_BURST, ADDRESSES_MAX),
    strangerGroups: new Rate(STRANGER_GROUP_REQUESTS_PER_MINUTE, STRANGER_GROUP_REQUESTS_BURST, ADDRESSES_MAX),
    failures: new Rate(FAILED_PROOFS_PER_MINUTE, FAILED_PROOFS_BURST, ADDRESSES_MAX),
  };
}
