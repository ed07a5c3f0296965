/** Fields — a parsed JSON object whose fields are not checked yet: people may edit our files. */
export type Fields = Readonly<Record<string, unknown>>;

/** Test — whether a field is what it should be. */
export type Test = (value: unknown) => boolean;

export const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);
export const isText: Test = (value) => typeof value === 'string' && value !== '';
export const isBoolean: Test = (value) => typeof value === 'boolean';
export const isCount: Test = (value) => Number.isSafeInteger(value) && (value as number) >= 1;
export const isNatural: Test = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
export const isNumber: Test = (value) => Number.isFinite(value) && (value as number) >= 0;
export const isShare: Test = (value) => isNumber(value) && (value as number) < 1;
export const isOneOf = (words: readonly string[]): Test => (value) => words.includes(value as string);
export const isDevice = isOneOf(['wasm', 'webgpu', 'cpu']);
export const orNull = (test: Test): Test => (value) => value === null || test(value);
export const isListOf = (test: Test): Test => (value) => Array.isArray(value) && value.every(test);

/** wrongField — the first field that its test refuses, in words: `got "deep" for settings.depth`; undefined if all are right. */
export function wrongField(object: Fields, tests: Readonly<Record<string, Test>>, prefix = ''): string | undefined {
  const wrong = Object.keys(tests).find((name) => tests[name]?.(object[name]) !== true);
  return wrong === undefined ? undefined : `got ${JSON.stringify(object[wrong])?.slice(0, 60) ?? 'nothing'} for ${prefix}${wrong}`;
}
