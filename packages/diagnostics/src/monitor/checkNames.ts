import { ConfigError } from '@evenkeel/core-tensor';

/** checkNames — throws ConfigError if an option has a name that is none. */
export function checkNames(arg: string, given: object, known: object): void {
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(known, name));
  if (unknown !== undefined) throw new ConfigError(`monitor: ${arg} must be made of ${Object.keys(known).join(', ')}, got ${unknown}`);
}
