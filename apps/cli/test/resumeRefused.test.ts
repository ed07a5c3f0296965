import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { evenkeel, evenkeelJson, scratch, sentences, TINY } from './support/evenkeel.ts';

const files = scratch();
const data = files.write('corpus.txt', sentences());

describe('evenkeel train gpt --resume, refused', () => {
  it('train gpt --resume with fewer steps than are done changes nothing: the next resume works', async () => {
    const run = ['train', 'gpt', '--out', files.at('run')];
    await evenkeelJson([...run, '--data', data, ...TINY, '--schedule', 'constant', '--steps', '20']);
    const before = readFileSync(files.at('run/run.json'), 'utf8');
    const refused = await evenkeel([...run, '--resume', '--steps', '10']);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('steps must be at least the 20');
    expect(refused.stderr).not.toContain('No checkpoint had been written');
    expect(readFileSync(files.at('run/run.json'), 'utf8')).toBe(before);
    expect(await evenkeelJson([...run, '--resume', '--steps', '25'])).toMatchObject({ steps: 25 });
    expect(JSON.parse(readFileSync(files.at('run/run.json'), 'utf8'))).toMatchObject({ settings: { steps: 25 } });
  });
});
