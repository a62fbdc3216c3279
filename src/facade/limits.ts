/** What strangers may cost us over HTTP. Each bound is for one connection, one address or all, as its name says. */

/** TCP connections in all. */
export const CONNECTIONS_MAX = 4_096;
/** How many of them are left to handshakes and to registries that the operator named: all others give way to one another before. */
export const CONNECTIONS_RESERVED = 512;
/** Connections of one registry that the operator named which never give way. */
export const CONNECTIONS_PER_WANTED_MAX = 16;
/** What the system hands over in one turn (its backlog) before the bounds are looked at. */
export const CONNECTIONS_ACCEPTED_AT_ONCE_MAX = 512;
/** Whose connection it is, and whether the operator named that registry, is looked up this often at most. */
export const RECOGNITION_MS = 1_000;
/** TCP connections of one address (IPv6: of one /64). */
export const CONNECTIONS_PER_ADDRESS_MAX = 64;
/** TCP connections of one group of addresses (/24 or /48); those of this machine itself are not counted so. */
export const CONNECTIONS_PER_GROUP_MAX = 256;
/** From the TCP connection to a finished TLS handshake. */
export const HANDSHAKE_MS_MAX = 10_000;
/** A connection on which nothing moves for so long is closed. */
export const IDLE_MS_MAX = 60_000;

/** Requests of one HTTP/2 connection at a time. */
export const STREAMS_MAX = 100;
/** Streams that a client may reset at once, and how many more each second, before its connection is closed (rapid reset). */
export const STREAM_RESETS_BURST = 50;
export const STREAM_RESETS_PER_SECOND = 10;
/** Header fields of one request, and their bytes (RFC 9113 §6.5.2 counts 32 for each field); more ends the stream. */
export const HEADER_PAIRS_MAX = 64;
export const HEADER_BYTES_MAX = 16_384;
/** Megabytes that one HTTP/2 connection may hold in the protocol layer before its new streams are refused. */
export const SESSION_MEGABYTES_MAX = 8;
/** Entries of one SETTINGS frame. */
export const SETTINGS_ENTRIES_MAX = 16;
/** Invalid frames, and streams refused for other reasons, before a connection is closed. */
export const INVALID_FRAMES_MAX = 20;
export const REJECTED_STREAMS_MAX = 50;
/** PING and SETTINGS frames that a client may send at once, and how many more each second, before its connection is closed. */
export const CONTROL_FRAMES_BURST = 50;
export const CONTROL_FRAMES_PER_MINUTE = 600;

/** HTTP/1.1: time for all headers of a request, and for a whole request. */
export const HEADERS_MS_MAX = 10_000;
export const REQUEST_MS_MAX = 30_000;
/** How often the two are looked at. */
export const REQUEST_CHECK_MS = 1_000;

/** Bytes of a request's body where its route says nothing else. */
export const BODY_BYTES_MAX = 65_536;
/** Bytes of bodies that are being received or served: of one address (IPv6: of one /64), and in all. */
export const BODIES_BYTES_PER_ADDRESS_MAX = 8_388_608;
export const BODIES_BYTES_MAX = 67_108_864;
/** How many of them are left to the operator and to whom the operator named. */
export const BODIES_BYTES_RESERVED = 16_777_216;
/** What each body counts beside its bytes: the stream on which it comes. */
export const BODY_COST_BYTES = 16_384;
/** A body that is not complete so long after its headers is given up. */
export const BODY_MS_MAX = 10_000;
/** Bytes of a refused body that are still taken, and thrown away, before its stream is ended. */
export const UNREAD_BYTES_MAX = 262_144;
/** Nesting of a JSON body: canonical documents inside of others. */
export const BODY_DEPTH_MAX = 20;
/** Characters of a path parameter: a DID, percent-encoded. */
export const PARAM_LENGTH_MAX = 1_536;

/** An answer that its reader has not taken so long after it was ready is given up, so that nobody makes us keep it. */
export const ANSWER_MS_MAX = 20_000;
/** Bytes of answers that wait for their readers: of one address (IPv6: of one /64), and in all. */
export const ANSWER_BYTES_PER_ADDRESS_MAX = 16_777_216;
export const ANSWER_BYTES_MAX = 134_217_728;

/** Of the requests that one address (IPv6: one /64) may make in a minute (a setting), how many may come at once. */
export const ADDRESS_REQUESTS_BURST_SHARE: number = 1 / 6;
/** Announcements: of one address, and of one group of addresses (/24 or /48), in a minute. */
export const STRANGER_REQUESTS_PER_MINUTE = 120;
export const STRANGER_REQUESTS_BURST = 40;
export const STRANGER_GROUP_REQUESTS_PER_MINUTE = 300;
export const STRANGER_GROUP_REQUESTS_BURST = 60;
/** Proofs of identity that did not hold, such as wrong tokens, of one address in a minute. */
export const FAILED_PROOFS_PER_MINUTE = 10;
export const FAILED_PROOFS_BURST = 10;
/** Addresses whose rate is remembered; who was quiet for longest is forgotten. */
export const ADDRESSES_MAX = 16_384;

/** Connections, answers and pressure are looked at this often. */
export const SWEEP_MS = 250;
/** So long before a client certificate ends its connection is told to take no new requests. */
export const EXPIRY_NOTICE_MS = 1_000;
/** Requests in flight on a connection that is being closed get so long to end. */
export const DRAIN_MS_MAX = 10_000;
/** The same when the whole server closes. */
export const CLOSE_DRAIN_MS_MAX = 3_000;
/** What a client is told to wait while we shed load or start. */
export const RETRY_AFTER_SECONDS = 2;

/**
 * Nonces of one sender that are remembered at a time: more than a registry's requests and later pages of syncs in twice the skew,
 * where its requests are not set higher.
 */
export const NONCES_PER_SENDER_MAX = 1_536;
/** What one sender may have is this part of what is free where that is less: `1 / NONCE_SHARES`. */
export const NONCE_SHARES = 16;
/** Nonces of registries that are remembered at a time, and how many of them only for those that are configured or followed. */
export const NONCES_MAX = 262_144;
export const NONCES_RESERVED = 65_536;
/** The same of everybody else who signs; reserved for registries that announce themselves, since agents' keys cost nothing. */
export const OTHER_NONCES_MAX = 65_536;
export const OTHER_NONCES_RESERVED = 16_384;
