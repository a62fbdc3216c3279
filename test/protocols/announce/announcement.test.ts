import assert from "node:assert/strict";
import {
  ANNOUNCEMENT_BYTES_MAX,
  decodeAnnouncement,
  encodeAnnouncement,
  openAnnouncement,
  type OpenAnnouncement,
} from "../../../protocols/announce/announcement.ts";
import { DESCRIPTOR_BYTES_MAX } from "../../../protocols/descriptor/descriptor.ts";
import { didOfPeerId } from "../../../protocols/lib/did.ts";
import { hex } from "../../../protocols/lib/bytes.ts";
import type { ProtocolErrorCode } from "../../../protocols/lib/errors.ts";
import { GOSSIP_BYTES_MAX } from "../../../src/ports/network.ts";
import { refused, refusedAny, unhex, vectors } from "../checkpoint/support.ts";

interface AnnouncementVector {
  readonly name: string;
  readonly bytes: string;
  readonly from: string;
  readonly now: number;
  readonly error: ProtocolErrorCode | null;
}

const file = vectors<{ announcements: AnnouncementVector[] }>(
  new URL("../../../protocols/announce/vectors/announcement.json", import.meta.url),
);

describe("announcements", () => {
  for (const { name, bytes, from, now, error } of file.announcements) {
    it(name, () => {
      const open = (): OpenAnnouncement => openAnnouncement(decodeAnnouncement(unhex(bytes)), from, now);
      if (error !== null) return refused(error, open);
      assert.equal(open().did, didOfPeerId(from));
      assert.equal(hex(encodeAnnouncement(decodeAnnouncement(unhex(bytes)))), bytes);
    });
  }

  it("T51 is bounded, whole or refused, and fits into gossip", () => {
    assert.ok(ANNOUNCEMENT_BYTES_MAX <= GOSSIP_BYTES_MAX);
    const whole = unhex((file.announcements[2] as AnnouncementVector).bytes);
    for (let length = 0; length < whole.length; length++)
      refusedAny(() => decodeAnnouncement(whole.subarray(0, length)), `cut at ${length}`);
    refused("too_large", () => decodeAnnouncement(new Uint8Array(ANNOUNCEMENT_BYTES_MAX + 1)));
    refused("too_large", () => decodeAnnouncement(encodeAnnouncement({ descriptor: new Uint8Array(DESCRIPTOR_BYTES_MAX + 1) })));
    refused("schema", () => encodeAnnouncement({}));
  });
});
