import { hash, timingSafeEqual } from "node:crypto";

const BEARER = /^Bearer ([!-~]+)$/i;

/** The token of `Authorization: Bearer …`; `undefined` for another scheme or none. */
export function bearerToken(authorization: string | undefined): string | undefined {
  return BEARER.exec(authorization ?? "")?.[1];
}

/** In a time that tells nothing of how much of it was right. */
export function isSameToken(given: string, expected: string): boolean {
  return timingSafeEqual(hash("sha256", given, "buffer"), hash("sha256", expected, "buffer"));
}
