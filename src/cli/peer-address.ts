import { createPublicKey, type KeyObject } from "node:crypto";
import { didKey, didOfPeerId, publicKeyOfDid } from "../../protocols/lib/did.ts";
import { isUrl, peerProblem } from "../config.ts";
import { CliError, EXIT } from "./exit.ts";
import { readText } from "./input.ts";
import type { CliIo } from "./io.ts";
import { SETTINGS } from "./settings/definitions.ts";

/** Who a registry must be, said beside its address. */
export interface PeerPins {
  /** SPKI PEM of an Ed25519 key (RFC 8410), or the name of a file with one. */
  readonly publicKey?: string;
  readonly pin?: string;
}

/** A PEM of an Ed25519 key has 113 bytes; anything much longer is another file. */
const PUBLIC_KEY_BYTES_MAX = 4_096;

/**
 * The peer as `start --peer` takes it: a URL carries its pin as the fragment, a multiaddr names its registry already.
 * @throws CliError `usage` saying what is wrong, in the words of the setting
 */
export async function pinnedPeer(io: CliIo, address: string, pins: PeerPins): Promise<string> {
  const problem = peerProblem(address);
  if (problem !== undefined) throw usage(problem, SETTINGS.find(({ field }) => field === "peers")?.fix ?? "");
  const named = didOfAddress(address);
  const wanted = [...(await pinnedDids(io, pins)), ...(named === undefined ? [] : [named])];
  const [did, other] = [...new Set(wanted)];
  if (did !== undefined && other !== undefined) {
    throw usage(`the address and its pins name different registries: ${did} and ${other}`, "find out which one is meant");
  }
  return did === undefined || named !== undefined ? address : `${address}#${did}`;
}

async function pinnedDids(io: CliIo, { publicKey, pin }: PeerPins): Promise<string[]> {
  const dids: string[] = [];
  if (publicKey !== undefined) dids.push(await didOfPublicKey(io, publicKey));
  if (pin !== undefined) {
    try {
      publicKeyOfDid(pin);
    } catch {
      throw usage(
        `--pin: "${pin}" is not the DID of a registry`,
        "use did:key:z6Mk…, as the other registry's `registry id` shows it",
      );
    }
    dids.push(pin);
  }
  return dids;
}

async function didOfPublicKey(io: CliIo, given: string): Promise<string> {
  const pem = given.includes("-----BEGIN") ? given : await readText(io, given, PUBLIC_KEY_BYTES_MAX);
  const fix = "use the SPKI PEM of its Ed25519 key (-----BEGIN PUBLIC KEY-----)";
  let key: KeyObject;
  try {
    // A private key would be taken, too, and says the same; nobody should hand one around.
    if (pem.includes("PRIVATE KEY")) throw new Error("it is a private key");
    // A command line may carry the line ends as \n.
    key = createPublicKey(pem.replaceAll("\\n", "\n"));
  } catch (cause) {
    throw usage(`--public-key cannot be read: ${(cause as Error).message}`, fix);
  }
  if (key.asymmetricKeyType !== "ed25519") {
    throw usage(`--public-key is a key of type ${String(key.asymmetricKeyType)}; a registry's key is Ed25519`, fix);
  }
  return didKey(Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url"));
}

/** The DID that the address itself names. */
function didOfAddress(address: string): string | undefined {
  if (!isUrl(address)) return didOfPeerId(address.slice(address.lastIndexOf("/p2p/") + "/p2p/".length));
  const { hash } = new URL(address);
  return hash === "" ? undefined : hash.slice(1);
}

function usage(problem: string, fix: string): CliError {
  return new CliError(EXIT.usage, "usage", `${problem}\n    → ${fix}`);
}
