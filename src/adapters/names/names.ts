import { promises as dns, type LookupAddress } from "node:dns";
import { GivenNames, type GivenNamesOptions } from "./given-names.ts";

/** All addresses of a host name. Rejects with the resolver's error, or with the signal's reason. */
export type NameLookup = (host: string, signal: AbortSignal) => Promise<readonly LookupAddress[]>;

/**
 * Two ways to look a name up, so that names of strangers that are never answered keep no name of the operator waiting (T49). A
 * process has one of these, whatever it dials with.
 */
export interface Names {
  /** Names that the operator gave: as the system looks them up, in its hosts file and by mDNS too. */
  readonly named: NameLookup;
  /** Names that anybody else gave: bounded, in DNS alone. */
  readonly given: NameLookup;
}

export function createNames(options: GivenNamesOptions): Names {
  const given = new GivenNames(options);
  return {
    named: (host) => dns.lookup(host, { all: true }),
    given: (host, signal) => given.lookup(host, signal),
  };
}
