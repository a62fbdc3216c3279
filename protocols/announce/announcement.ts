import { decodeHead, encodeHead, HEAD_BYTES_MAX, type SignedHead, type VerifiedHead, verifyHead } from "../checkpoint/head.ts";
import { WireReader, WireWriter } from "../lib/wire.ts";
import { openDescriptor } from "../descriptor/codec.ts";
import { type Descriptor, DESCRIPTOR_BYTES_MAX } from "../descriptor/descriptor.ts";
import { didOfPeerId } from "../lib/did.ts";
import { ProtocolError } from "../lib/errors.ts";

/** Gossip topic on which registries announce themselves and their newest checkpoints. */
export const ANNOUNCE_TOPIC = "/theprotocol/announce/1.0.0";

/** What one registry says of itself: its descriptor, its newest head, or both. Nobody announces for another. */
export interface Announcement {
  /** Exact descriptor bytes. */
  readonly descriptor?: Uint8Array;
  readonly head?: SignedHead;
}

export interface OpenAnnouncement {
  readonly did: string;
  readonly descriptor?: Descriptor;
  readonly head?: VerifiedHead;
}

/** Bytes of the longest announcement, well below what gossip carries. */
export const ANNOUNCEMENT_BYTES_MAX: number = 2 + 2 + DESCRIPTOR_BYTES_MAX + 2 + HEAD_BYTES_MAX;

const VERSION = 1;
const HAS_DESCRIPTOR = 1;
const HAS_HEAD = 2;

/** u8 version 1, u8 flags (1 descriptor, 2 head), then u16 length and bytes of each, in this order. @throws ProtocolError `schema` */
export function encodeAnnouncement({ descriptor, head }: Announcement): Uint8Array {
  const flags = (descriptor === undefined ? 0 : HAS_DESCRIPTOR) | (head === undefined ? 0 : HAS_HEAD);
  if (flags === 0) throw new ProtocolError("schema", "an announcement carries a descriptor, a head, or both");
  const writer = new WireWriter().u8(VERSION).u8(flags);
  if (descriptor !== undefined) writer.sized(descriptor);
  if (head !== undefined) writer.sized(encodeHead(head));
  return writer.finish();
}

/** Checks the layout and the bounds only. @throws ProtocolError `too_large`, `truncated`, `bad_frame`, `not_utf8`, `limit_exceeded` */
export function decodeAnnouncement(bytes: Uint8Array): Announcement {
  const reader = new WireReader(bytes, ANNOUNCEMENT_BYTES_MAX);
  readVersion(reader, VERSION);
  const flags = reader.u8();
  if (flags === 0 || flags > (HAS_DESCRIPTOR | HAS_HEAD)) throw new ProtocolError("bad_frame", `unknown flags ${flags}`);
  const descriptor = (flags & HAS_DESCRIPTOR) !== 0 ? reader.sized(DESCRIPTOR_BYTES_MAX) : undefined;
  const head = (flags & HAS_HEAD) !== 0 ? decodeHead(reader.sized(HEAD_BYTES_MAX)) : undefined;
  reader.end();
  return { ...(descriptor && { descriptor }), ...(head && { head }) };
}

/**
 * Checks all that an announcement says, and that the registry which published it speaks of itself.
 * @param from PeerId of the publisher, as the gossip layer authenticated it
 * @throws ProtocolError `wrong_registry`, and those of `openDescriptor` and `verifyHead`
 */
export function openAnnouncement(announcement: Announcement, from: string, nowMs: number): OpenAnnouncement {
  const did = didOfPeerId(from);
  const descriptor = announcement.descriptor && openDescriptor(announcement.descriptor, nowMs);
  const head = announcement.head && verifyHead(announcement.head);
  const other = [descriptor?.did, head?.checkpoint.did].find((named) => named !== undefined && named !== did);
  if (other !== undefined) throw new ProtocolError("wrong_registry", `${did} announces for ${other}`);
  return { did, ...(descriptor && { descriptor }), ...(head && { head }) };
}

/** @throws ProtocolError `bad_frame` for a version that we do not speak (T50) */
export function readVersion(reader: WireReader, version: number): void {
  const given = reader.u8();
  if (given !== version)
    throw new ProtocolError("bad_frame", `version ${given}, this side speaks ${version}`, { version: given });
}
