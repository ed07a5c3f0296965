import type { Command } from 'commander';
import { UsageError } from './errors.ts';
import { terminalIo, writeResult, type Io } from './output.ts';

/** Action — a command: options and a way to speak, to a plain result. Its module is loaded only when it runs. */
export type Action<O> = () => Promise<(options: O, io: Io) => Promise<object>>;

/** finish — the flags of every command, and its action: `given` names the flags that the user wrote, by their option's name. */
export function finish<O>(command: Command, load: Action<O>, required: readonly string[] = []): void {
  command
    .option('--json', 'print one JSON object as the last line of standard output')
    .option('--debug', 'print stack traces')
    .allowExcessArguments(false)
    .action(async () => {
      const flags: Record<string, unknown> = { ...command.opts(), ...Object.fromEntries(command.registeredArguments.map((each, i) => [each.name(), command.processedArgs[i]])) };
      const given = new Set(Object.keys(flags).filter((name) => command.getOptionValueSource(name) === 'cli'));
      const missing = required.find((name) => flags[name] === undefined);
      if (missing !== undefined) throw new UsageError(`evenkeel ${command.name()} needs --${missing}; see evenkeel ${command.name()} --help`);
      const io = terminalIo(flags['json'] === true);
      const result = await (await load())({ ...flags, given } as O, io);
      if (io.json) await writeResult(result);
    });
}
