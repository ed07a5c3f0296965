import { ConfigError } from '@evenkeel/core-tensor';

/**
 * checkBlockCount — that a checkpoint holds as many blocks as its configuration says: before anything is built, since a file may claim any number.
 *
 * @param where    how an error begins.
 * @param claimed  the number, and the `field` of config.json that says it.
 * @param names    of the tensors.
 * @param pattern  of a block's tensors; its first group is the block's index.
 * @throws ConfigError  with both numbers.
 */
export function checkBlockCount(where: string, { field, depth }: { field: string; depth: number }, names: readonly string[], pattern: RegExp): void {
  const blocks = new Set(names.map((name) => pattern.exec(name)?.[1]).filter((index) => index !== undefined));
  if (blocks.size !== depth) throw new ConfigError(`${where}: config.json must have ${field} ${blocks.size}, as many blocks as the checkpoint holds, got ${depth}`);
}
