const LONGEST = 120;

/** quoteName — a name from a file for an error message: quoted, on one line, at most 120 characters. */
export function quoteName(name: string): string {
  const quoted = JSON.stringify(name.length > LONGEST ? `${name.slice(0, LONGEST)}…` : name);
  return quoted.replace(/[\u007f-\u009f\u2028\u2029]/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** isWellFormed — whether `text` has no half of a surrogate pair, so that UTF-8 can hold it. */
export function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}
