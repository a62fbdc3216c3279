import { decodeAnnouncement, openAnnouncement } from "../../protocols/announce/announcement.ts";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import type { ActorRef } from "../actors/actor.ts";
import type { Clock } from "../ports/clock.ts";
import type { GossipMessage, GossipVerdict } from "../ports/network.ts";
import type { MembershipMessage } from "./messages.ts";

/** What arrives too early or too late is nobody's fault; anything else that does not verify is the sender's. */
const BLAMELESS = new Set(["expired", "not_yet_valid"]);

/** Judges an announcement and hands on what verified. */
export function announcementValidator(
  membership: ActorRef<MembershipMessage>,
  clock: Clock,
): (message: GossipMessage) => GossipVerdict {
  return (message) => {
    try {
      const raw = decodeAnnouncement(message.data);
      const opened = openAnnouncement(raw, message.from, clock.now());
      // A full mailbox drops the news, not the mesh: it comes again with the next announcement.
      return membership.tell({ type: "announcement", opened, raw }) ? "accept" : "ignore";
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return BLAMELESS.has(error.code) ? "ignore" : "reject";
    }
  };
}
