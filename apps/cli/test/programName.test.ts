import { expect, it } from 'vitest';
import { PROGRAM, shellWord } from '../src/programName.ts';

it('PROGRAM run from source is the script of the repository', () => {
  expect(PROGRAM).toBe('pnpm evenkeel');
});

it('shellWord(path) quotes what a shell would not take as it is', () => {
  expect(shellWord('runs/gpt-1')).toBe('runs/gpt-1');
  expect(shellWord("my runs/it's")).toBe("'my runs/it'\\''s'");
});
