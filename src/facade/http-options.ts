import type { Http2SecureServer, SecureServerOptions } from "node:http2";
import {
  HEADER_BYTES_MAX,
  HEADER_PAIRS_MAX,
  HEADERS_MS_MAX,
  IDLE_MS_MAX,
  INVALID_FRAMES_MAX,
  REJECTED_STREAMS_MAX,
  REQUEST_CHECK_MS,
  REQUEST_MS_MAX,
  SESSION_MEGABYTES_MAX,
  SETTINGS_ENTRIES_MAX,
  STREAM_RESETS_BURST,
  STREAM_RESETS_PER_SECOND,
  STREAMS_MAX,
} from "./limits.ts";

/** The bounds of an HTTP/2 connection (T20–T23). */
export function http2Options(): SecureServerOptions {
  return {
    allowHTTP1: true,
    settings: { enablePush: false, maxConcurrentStreams: STREAMS_MAX, maxHeaderListSize: HEADER_BYTES_MAX },
    maxHeaderListPairs: HEADER_PAIRS_MAX,
    maxSessionMemory: SESSION_MEGABYTES_MAX,
    maxSettings: SETTINGS_ENTRIES_MAX,
    maxSessionInvalidFrames: INVALID_FRAMES_MAX,
    maxSessionRejectedStreams: REJECTED_STREAMS_MAX,
    streamResetBurst: STREAM_RESETS_BURST,
    streamResetRate: STREAM_RESETS_PER_SECOND,
  };
}

/** Of an HTTP/2 server that also speaks HTTP/1.1 Node reads these as properties. */
interface Http1Limits {
  headersTimeout: number;
  requestTimeout: number;
  connectionsCheckingInterval: number;
  keepAliveTimeout: number;
  maxHeaderSize: number;
  maxHeadersCount: number;
  requireHostHeader: boolean;
}

/** The bounds of an HTTP/1.1 connection. To be called before the server listens. */
export function setHttp1Limits(server: Http2SecureServer): void {
  const limits: Http1Limits = {
    headersTimeout: HEADERS_MS_MAX,
    requestTimeout: REQUEST_MS_MAX,
    connectionsCheckingInterval: REQUEST_CHECK_MS,
    keepAliveTimeout: IDLE_MS_MAX,
    maxHeaderSize: HEADER_BYTES_MAX,
    maxHeadersCount: HEADER_PAIRS_MAX,
    requireHostHeader: true,
  };
  Object.assign(server, limits);
}
