import { constants } from 'node:os';
import { stripVTControlCharacters } from 'node:util';

/** UsageError — the command line itself is wrong: a flag, a value, or flags that do not fit together. Ends with exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** InterruptedError — the user stopped the command; its message says how to go on. Ends with `exitCodeOf` the signal. */
export class InterruptedError extends Error {
  override name = 'InterruptedError';
  readonly exitCode: number;

  constructor(message: string, signal: NodeJS.Signals) {
    super(message);
    this.exitCode = exitCodeOf(signal);
  }
}

/** exitCodeOf — 128 and the signal's number, as a shell has it: 129 for SIGHUP, 130 for SIGINT (Ctrl-C), 143 for SIGTERM. */
export function exitCodeOf(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

/** Failure — what to print for an error, and how the process ends. */
export type Failure = { readonly line: string; readonly exitCode: number };

const LONGEST = 600;

/** What the usual failures of the operating system mean to the person at the keyboard. */
const SYSTEM: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EISDIR: 'this is a directory, not a file',
  ENOTDIR: 'a part of the path is a file, not a directory',
  EEXIST: 'it exists already',
  ENOSPC: 'no space left on the disk',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'the file system is read-only',
  EFBIG: 'the file would be too large for the file system',
  EMFILE: 'too many open files',
  EIO: 'the disk reported an input/output error',
};

/** The classes whose message was written for the user; anything else is a fault of ours. */
const EXPECTED = new Set(['UsageError', 'InterruptedError', 'ConfigError', 'ShapeError', 'UnsupportedError', 'NonFiniteError']);

/**
 * describeFailure — one line for any thrown value, and the exit code.
 *
 * The line begins with `error: `. Line breaks and control characters, which file names and texts may hold, are taken out.
 */
export function describeFailure(error: unknown): Failure {
  const exitCode = error instanceof InterruptedError ? error.exitCode : error instanceof UsageError ? 2 : 1;
  const prefix = error instanceof InterruptedError ? '' : 'error: ';
  return { line: oneLine(prefix + messageOf(error)), exitCode };
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const system = systemErrorIn(error);
  if (EXPECTED.has(error.name)) {
    const mentioned = system === undefined || error.message.includes(system.code ?? '');
    return mentioned ? error.message : `${error.message} (${systemText(system)})`;
  }
  if (system !== undefined) return systemText(system);
  if (error instanceof RangeError && /allocation|array length|memory/i.test(error.message)) {
    return `not enough memory (${error.message}); a smaller --batch-size, --context or --dim needs less`;
  }
  return `unexpected: ${error.message} (run again with --debug for the stack trace)`;
}

/** The file-system error that `error` is or was caused by. */
function systemErrorIn(error: Error): NodeJS.ErrnoException | undefined {
  for (let each: unknown = error, depth = 0; each instanceof Error && depth < 8; each = each.cause, depth++) {
    const { code } = each as NodeJS.ErrnoException;
    if (code !== undefined && code in SYSTEM) return each;
  }
  return undefined;
}

function systemText({ code = '', path, message, syscall }: NodeJS.ErrnoException): string {
  const meaning = SYSTEM[code] ?? message;
  if (path !== undefined) return `${path}: ${meaning}`;
  return syscall === undefined ? meaning : `${meaning} (${syscall})`;
}

function oneLine(text: string): string {
  const flat = stripVTControlCharacters(text).replace(/[\s\p{Cc}]+/gu, ' ').trim();
  return flat.length <= LONGEST ? flat : `${flat.slice(0, LONGEST - 1)}…`;
}
