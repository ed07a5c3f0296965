import { CommanderError, type Command } from 'commander';
import { UsageError } from '../errors.ts';

/**
 * flagsFromWords — the values of the flags that some words give, by option name, without defaults.
 *
 * @param command  with its options, and nothing parsed yet.
 * @throws UsageError  that begins with `where`.
 */
export function flagsFromWords(command: Command, words: readonly string[], where: string): Record<string, unknown> {
  try {
    command.exitOverride().helpOption(false).allowExcessArguments(false).configureOutput({ outputError: () => {} }).parse([...words], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError) && !(error instanceof UsageError)) throw error;
    throw new UsageError(`${where}: ${error.message.replace(/^error: /, '').replace(/\s+/g, ' ')}`);
  }
  return Object.fromEntries(Object.entries(command.opts()).filter(([name]) => command.getOptionValueSource(name) === 'cli'));
}
