import { describe, expect, it } from 'vitest';
import { checkFileLength, fileLengths } from '../fileLength.ts';
import { machinePaths } from '../trackedFiles.ts';
import { fixture, manifest } from './fixture.ts';

describe('checkFileLength', () => {
  it('checkFileLength refuses a file of more than 400 lines, and ignores generated ones', () => {
    const root = fixture({
      'packages/norms/package.json': manifest('norms', 'layer:2'),
      'packages/norms/src/long.ts': '\n'.repeat(401),
      'packages/norms/src/fits.ts': '\n'.repeat(400),
      'packages/norms/src/generated/table.ts': '\n'.repeat(4000),
    });
    expect(checkFileLength(root)).toEqual(['packages/norms/src/long.ts: 401 lines, at most 400; split it']);
    expect(fileLengths(root)).toHaveLength(2);
  });
});

describe('machinePaths', () => {
  it('machinePaths finds paths that exist on one machine only', () => {
    const lines = ['import x from "./work/y"', `cat ..${'/'}shared/x`, `/${'home'}/alice/x`, 'see /home for more', `"/${'work'}/main"`];
    expect(machinePaths('a.md', lines.join('\n')).map((line) => line.split(':')[1])).toEqual(['2', '3', '5']);
  });

  it('machinePaths ignores binary files', () => {
    expect(machinePaths('a.bin', `\0/${'root'}/x`)).toEqual([]);
  });
});
