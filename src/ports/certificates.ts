import type { Svid } from "./credentials.ts";

/** Makes X.509 certificates of one trust domain, with new P-256 keys. */
export interface CertificateIssuer {
  /** A self-signed authority that signs leaves only. */
  createAuthority(validity: Validity): Promise<Authority>;
  /** @throws CredentialsError `invalid` for a name that no certificate can carry */
  createLeaf(authority: Authority, request: LeafRequest): Promise<Svid>;
  /** What `Authority.pem` held. @throws CredentialsError `damaged` saying what is wrong with the file at `path` */
  readAuthority(pem: string, path: string): Promise<Authority>;
}

/** Whole seconds count (RFC 5280 §4.1.2.5): both ends are rounded down. */
export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface Authority extends Validity {
  /** DER. */
  readonly certificate: Uint8Array;
  /** The PKCS#8 key, then the certificate. */
  readonly pem: string;
}

export interface LeafRequest extends Validity {
  /** Path of the SPIFFE ID, with its leading slash. */
  readonly path: string;
  /** DNS names and IP addresses, at most LEAF_NAMES_MAX. */
  readonly names: readonly string[];
}

/** DNS names and IP addresses in one leaf: the hosts of a facade's URLs and the listening address. */
export const LEAF_NAMES_MAX = 16;

/** Where authorities outlive the process. Every method rejects with CredentialsError. */
export interface AuthorityFiles {
  /** @throws CredentialsError `exposed` where others may read a key, `unreadable`, `damaged` for what is no file of ours */
  read(): Promise<StoredAuthorities>;
  /** Whenever the machine stops, there is the whole file or none; it never replaces one. @throws CredentialsError `not_created` */
  addAuthority(number: number, pem: string): Promise<void>;
  /** Whenever the machine stops, there is the old text or the new one. @throws CredentialsError `not_created` */
  writeBundle(text: string): Promise<void>;
  removeAuthority(number: number): Promise<void>;
}

export interface StoredAuthorities {
  /** Ascending by number. */
  readonly authorities: readonly StoredAuthority[];
  /** The bundle that was published last; `undefined` when there was none. */
  readonly bundle: StoredFile | undefined;
}

export interface StoredAuthority extends StoredFile {
  readonly number: number;
}

export interface StoredFile {
  /** For messages. */
  readonly path: string;
  readonly text: string;
}
