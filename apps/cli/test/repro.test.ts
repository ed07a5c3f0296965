import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { evenkeel, evenkeelJson, launch, scratch } from './support/evenkeel.ts';

const files = scratch();
const quick = (out: string, ...flags: string[]) => ['repro', 'layernorm-scaling', '--quick', '--device', 'wasm', '--out', files.at(out), ...flags];

/** All that does not depend on the clock. */
const numbersOf = ({ seconds, ...rest }: Record<string, unknown>) => ({ ...rest, timed: (seconds as number) > 0 });

describe.skipIf(process.env['EVENKEEL_DATA'] === undefined)('evenkeel repro (needs the data sets of EVENKEEL_DATA)', () => {
  it('two seeds at a time, each in a process of its own, give the numbers of one after the other', async () => {
    const beside = await evenkeelJson(quick('beside', '--seeds', '2', '--jobs', '2'));
    expect(beside).toMatchObject({ slug: 'layernorm-scaling', seeds: [1, 2], quick: true, device: 'wasm' });
    expect(numbersOf(await evenkeelJson(quick('after', '--seeds', '2', '--jobs', '1')))).toEqual(numbersOf(beside));
    expect(JSON.parse(readFileSync(files.at('beside/layernorm-scaling.json'), 'utf8'))).toEqual(beside);
    expect(existsSync(files.at('beside/layernorm-scaling.html'))).toBe(true);
    const { stderr, stdout } = await evenkeel(quick('beside', '--seeds', '1', '--resume', '--json'));
    expect(stderr).not.toContain('seed 1:'); // nothing is measured again
    const again = JSON.parse(stdout.trim().split('\n').at(-1) as string) as Record<string, unknown>;
    expect(again).toMatchObject({ seeds: [1], seconds: expect.any(Number) as number });
    writeFileSync(files.at('beside/seeds/layernorm-scaling-quick-1.bin'), 'damaged');
    const measured = await evenkeel(quick('beside', '--seeds', '2', '--resume', '--jobs', '1', '--json'));
    expect([measured.stderr.includes('seed 1:'), measured.stderr.includes('seed 2:')]).toEqual([true, false]);
    expect(numbersOf(JSON.parse(measured.stdout.trim().split('\n').at(-1) as string) as Record<string, unknown>)).toEqual(numbersOf(beside));
  }, 240_000);

  it('a failure in such a process ends the command with its words', async () => {
    const { code, stderr } = await evenkeel(['repro', 'peri-ln', '--quick', '--seeds', '3', '--jobs', '2', '--device', 'wasm', '--data', files.at('nowhere'), '--out', files.at('failed')]);
    expect(code).toBe(1);
    const last = stderr.trimEnd().split('\n').at(-1);
    expect(last).toContain(files.at('nowhere'));
    expect(last).toMatch(/^error: (?!unexpected|error)/);
  });

  it('what measures a seed is not for people', async () => {
    expect(await evenkeel(['repro-seed'])).toMatchObject({ code: 2, stderr: expect.stringContaining('evenkeel repro') });
    expect((await evenkeel(['--help'])).stdout).not.toContain('repro-seed');
  });

  it('ends with its processes when it is killed', async () => {
    const { child, outcome } = launch(quick('killed', '--seeds', '2', '--jobs', '2'));
    await new Promise<void>((resolve) => child.stderr?.on('data', (text: string) => { if (text.includes('seed 2')) resolve(); }));
    child.kill('SIGKILL');
    expect((await outcome).signal).toBe('SIGKILL'); // resolves once nobody holds its standard error any more: the processes have inherited it
  }, 60_000);
});
