import { describe, expect, it } from 'vitest';
import { ConfigError } from '@evenkeel/core-tensor';
import { describeFailure, InterruptedError, UsageError } from '../src/errors.ts';

const systemError = (code: string, path?: string): Error => Object.assign(new Error(`${code}: something, write`), { code, path, syscall: 'write' });

describe('describeFailure', () => {
  it('describeFailure(UsageError) ends with 2, an expected error with 1, Ctrl-C with 130', () => {
    expect(describeFailure(new UsageError('--steps must be 1'))).toEqual({ line: 'error: --steps must be 1', exitCode: 2 });
    expect(describeFailure(new ConfigError('gpt: dim must be 1, got 2'))).toEqual({ line: 'error: gpt: dim must be 1, got 2', exitCode: 1 });
    expect(describeFailure(new InterruptedError('stopped at step 3', 'SIGINT'))).toEqual({ line: 'stopped at step 3', exitCode: 130 });
    expect(describeFailure(new InterruptedError('stopped', 'SIGTERM')).exitCode).toBe(143);
    expect(describeFailure(new InterruptedError('stopped', 'SIGHUP')).exitCode).toBe(129);
  });

  it('describeFailure(system error) says path and meaning', () => {
    expect(describeFailure(systemError('ENOSPC', '/runs/a')).line).toBe('error: /runs/a: no space left on the disk');
    expect(describeFailure(systemError('ENOSPC')).line).toBe('error: no space left on the disk (write)');
  });

  it('describeFailure(expected error) adds the cause unless the message has it', () => {
    const cause = systemError('EACCES', '/runs/a');
    expect(describeFailure(new ConfigError('cannot write', { cause })).line).toBe('error: cannot write (/runs/a: permission denied)');
    expect(describeFailure(new ConfigError('cannot write (EACCES)', { cause })).line).toBe('error: cannot write (EACCES)');
  });

  it('describeFailure(unforeseen error) points to --debug', () => {
    expect(describeFailure(new TypeError('x is not a function')).line).toBe('error: unexpected: x is not a function (run again with --debug for the stack trace)');
    expect(describeFailure('text').line).toBe('error: text');
  });

  it('describeFailure(failed allocation) names the flags that help', () => {
    expect(describeFailure(new RangeError('Array buffer allocation failed')).line).toContain('not enough memory');
  });

  it('describeFailure(message of many lines with escape sequences) is one printable line of bounded length', () => {
    const { line } = describeFailure(new UsageError(`no file \u001B[31mred\u0007\r\n  second ${'x'.repeat(5000)}`));
    expect(line.startsWith('error: no file red second xxx')).toBe(true);
    expect(line).toHaveLength(600);
    expect(line).not.toMatch(/[\p{Cc}]/u);
  });
});
