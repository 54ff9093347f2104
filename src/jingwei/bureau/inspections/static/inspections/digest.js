// SHA-256 by the browser itself (WebCrypto), as small hexadecimal digits.

/** Hex SHA-256 of a text (as UTF-8), a Blob's ArrayBuffer or a typed array; null where the browser
 * has no WebCrypto (a page over plain HTTP that is not localhost). */
export async function sha256(data) {
  if (!globalThis.crypto?.subtle) return null;
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
  const hash = await crypto.subtle.digest('SHA-256', bytes);
  return hex(new Uint8Array(hash));
}

export function hex(bytes) {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
}
