#!/usr/bin/env node
import { enableCompileCache } from 'node:module';
import { describeFailure } from './errors.ts';

enableCompileCache(); // halves the time to the first step from the second start on

/** A reader that has seen enough (`evenkeel generate … | head`) is no failure. */
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
}

/** What no promise caught: still one line. */
process.on('uncaughtException', (error) => {
  process.stderr.write(`${describeFailure(error).line}\n`);
  if (process.argv.includes('--debug')) process.stderr.write(`${error.stack ?? ''}\n`);
  process.exit(1);
});

const { run } = await import('./program.ts');
process.exit(await run(process.argv.slice(2)));
