/**
 * The byte alphabet of GPT-2: every byte as a visible character, so that a vocabulary of byte strings is a vocabulary of
 * text. Bytes 33–126, 161–172 and 174–255 stand for themselves, the other 68 in order for the code points from 256 on.
 */
const isVisible = (byte: number): boolean => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;

const hidden = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !isVisible(byte));

/** BYTE_CHARS — the character of each byte. */
export const BYTE_CHARS: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  String.fromCharCode(isVisible(byte) ? byte : 256 + hidden.indexOf(byte)));

/** CHAR_BYTES — the byte of each character of the alphabet. */
export const CHAR_BYTES: ReadonlyMap<string, number> = new Map(BYTE_CHARS.map((char, byte) => [char, byte]));

/** bytesOfToken — the bytes a token stands for; `undefined` if it has a character outside the alphabet. */
export function bytesOfToken(token: string): Uint8Array | undefined {
  const bytes = Array.from(token, (char) => CHAR_BYTES.get(char));
  return bytes.includes(undefined) ? undefined : Uint8Array.from(bytes as number[]);
}
